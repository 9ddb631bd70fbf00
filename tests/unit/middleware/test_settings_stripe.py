"""Live or test: told by `STRIPE_MODE`, else by the key."""

import pytest

from middleware.settings import Settings


@pytest.mark.parametrize(
    ("mode", "key", "live"),
    [
        ("", "", None),
        ("", "sk_live_1", True),
        ("", "rk_live_1", True),
        ("", " sk_test_1", False),
        ("", "sk_other_1", None),
        ("", "live", None),
        ("live", "sk_test_1", True),
        ("test", "", False),
    ],
)
def test_mode_of_stripe(mode: str, key: str, live: bool | None) -> None:
    """None takes both modes."""
    given = {"stripe_mode": mode, "stripe_api_key": key, "taiga_webhook_secrets": "k", "stripe_webhook_secrets": "s"}
    assert Settings(_env_file=None, **given).stripe_is_live is live  # type: ignore[arg-type]  # pydantic reads texts
