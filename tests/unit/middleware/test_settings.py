"""Settings: from the environment, every mistake at once, no secret ever shown."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from middleware.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no .env of the machine reaches these tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def problems(**values: Any) -> list[str]:
    """What is wrong with these settings."""
    with pytest.raises(SettingsError) as caught:
        load_settings(**values)
    return caught.value.problems


def test_smallest_settings() -> None:
    """A secret of Taiga is all that is needed to receive."""
    settings = load_settings(taiga_webhook_secrets="key")
    assert settings.webhook_secrets("taiga") == ("key",)
    assert settings.enabled_sources == ("taiga",)
    assert settings.max_body_bytes == 5 * 1024 * 1024
    assert not settings.has_taiga_credentials


def test_environment_and_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variables come from the environment and from .env; the environment wins."""
    (tmp_path / ".env").write_text("TAIGA_WEBHOOK_SECRETS=from-file\nPORT=9000\nUNKNOWN=1\n")
    monkeypatch.setenv("PORT", "9001")
    settings = load_settings()
    assert (settings.port, settings.webhook_secrets("taiga")) == (9001, ("from-file",))


def test_rotation() -> None:
    """Several secrets are split at commas, in their order, trimmed."""
    assert load_settings(taiga_webhook_secrets=" new , old ").webhook_secrets("taiga") == ("new", "old")


@pytest.mark.parametrize("value", ["a,", ",a", "a,,b", ",", " , ", [""], ["a", "  "]])
def test_empty_secret(value: Any) -> None:
    """An empty secret is refused: anyone could sign with it."""
    (problem,) = problems(taiga_webhook_secrets=value)
    assert problem.startswith("TAIGA_WEBHOOK_SECRETS: holds an empty secret")


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({}, "TAIGA_WEBHOOK_SECRETS"),
        ({"taiga_webhook_secrets": "  "}, "TAIGA_WEBHOOK_SECRETS"),
        ({"taiga_webhook_secrets": "a", "stripe_api_key": "sk_test_1"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"taiga_webhook_secrets": "a", "sources": "taiga,stripe"}, "STRIPE_WEBHOOK_SECRETS"),
        ({"stripe_webhook_secrets": "whsec_1"}, "TAIGA_WEBHOOK_SECRETS"),
    ],
)
def test_source_without_secret(values: dict[str, Any], name: str) -> None:
    """A source that is enabled without a secret is refused, with both ways out."""
    (problem,) = problems(**values)
    assert problem.startswith(f"{name} is not set")
    assert "SOURCES" in problem


def test_one_source_only() -> None:
    """Who uses only one source names it, and needs no secret of the other."""
    settings = load_settings(sources="stripe", stripe_webhook_secrets="whsec_1")
    assert settings.enabled_sources == ("stripe",)


def test_stripe_beside_taiga() -> None:
    """Anything of Stripe enables it."""
    settings = load_settings(taiga_webhook_secrets="a", stripe_webhook_secrets="whsec_1")
    assert settings.enabled_sources == ("taiga", "stripe")


def test_every_mistake_at_once() -> None:
    """All mistakes are listed, each with its variable, those in how settings fit together among them."""
    found = problems(port="abc", log_level="loud", taiga_api="taiga.example", worker_concurrency=0)
    names = [problem.partition(":")[0] for problem in found[:-1]]
    assert names == ["TAIGA_API", "PORT", "LOG_LEVEL", "WORKER_CONCURRENCY"]
    assert found[-1].startswith("TAIGA_WEBHOOK_SECRETS is not set")


def test_wrong_secrets_are_not_called_missing() -> None:
    """Secrets that are wrong are not reported as missing as well."""
    assert len(problems(taiga_webhook_secrets="a,", port="abc")) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70000),
        ("retry_hours", "inf"),
        ("retry_hours", 1e300),
        ("attempt_timeout", "nan"),
        ("sweep_seconds", 0),
        ("body_timeout", "inf"),
        ("shutdown_seconds", -1),
        ("max_body_bytes", 10),
        ("sources", "github"),
        ("stripe_api_base", "api.stripe.com"),
    ],
)
def test_values_that_cannot_work(name: str, value: Any) -> None:
    """Values that would break the program later are refused at the start."""
    assert problems(**{"taiga_webhook_secrets": "key", name: value})[0].startswith(f"{name.upper()}: ")


def test_secrets_are_never_shown() -> None:
    """Neither the record nor a message about a mistake shows a secret."""
    secrets = {
        "taiga_webhook_secrets": "hunter1,hunter2",
        "taiga_token": "hunter3",
        "taiga_password": "hunter4",
        "invoice_ninja_token": "hunter5",
        "stripe_api_key": "hunter6",
        "stripe_webhook_secrets": "hunter7",
        "database_url": "postgresql://u:hunter8@db/x",
        "redis_url": "redis://:hunter9@r/0",
    }
    settings = load_settings(**secrets)
    assert "hunter" not in repr(settings) + str(settings) + settings.model_dump_json()
    assert "hunter" not in " ".join(problems(**secrets, port="x"))
    with pytest.raises(ValidationError) as caught:
        Settings(taiga_webhook_secrets="hunter7,", taiga_token="hunter3")
    assert "hunter" not in str(caught.value)


def test_frozen() -> None:
    """Settings do not change."""
    settings = load_settings(taiga_webhook_secrets="key")
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]  # mypy knows that it is read-only, too


@pytest.mark.parametrize(
    ("values", "reads"),
    [
        ({"taiga_api": "https://taiga.example", "taiga_token": "t"}, True),
        ({"taiga_api": "https://taiga.example", "taiga_username": "u", "taiga_password": "p"}, True),
        ({"taiga_api": "https://taiga.example", "taiga_username": "u"}, False),
        ({"taiga_token": "t"}, False),
    ],
)
def test_taiga_credentials(values: dict[str, str], *, reads: bool) -> None:
    """Taiga is read with an address and a token, or a user name with its password."""
    assert load_settings(taiga_webhook_secrets="key", **values).has_taiga_credentials is reads


def test_addresses_without_slash() -> None:
    """A slash at the end of an address is dropped."""
    assert load_settings(taiga_webhook_secrets="k", taiga_api="https://t.example/").taiga_api == "https://t.example"


def test_example_explains_every_variable() -> None:
    """.env.example names every setting, and no other."""
    text = (ROOT / ".env.example").read_text()
    named = {name.lower() for name in re.findall(r"^#? ?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE)}
    assert set(Settings.model_fields) - named == {"webhook_keys"}


def test_secrets_in_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret is read from the file that NAME_FILE names, unless NAME is set; a missing file is told."""
    (tmp_path / "key").write_text("from-a-file\n")
    (tmp_path / "echo").write_text("echo-key")
    monkeypatch.setenv("TAIGA_WEBHOOK_SECRETS_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("TAIGA_TOKEN_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("TAIGA_TOKEN", "itself")
    monkeypatch.setenv("ECHO_WEBHOOK_SECRETS_FILE", str(tmp_path / "echo"))
    settings = load_settings()
    assert settings.webhook_secrets("taiga") == ("from-a-file",)
    assert settings.taiga_token.get_secret_value() == "itself"
    assert settings.webhook_secrets("echo") == ("echo-key",)
    monkeypatch.setenv("STRIPE_API_KEY_FILE", str(tmp_path / "nowhere"))
    (problem,) = problems()
    assert problem.startswith(f"STRIPE_API_KEY_FILE: {tmp_path}/nowhere cannot be read")


def test_variables_of_kubernetes() -> None:
    """A Service named `worker` sets WORKER_PORT to an address: the message says where it comes from."""
    (problem,) = problems(taiga_webhook_secrets="k", worker_port="tcp://10.96.0.12:8001")
    assert problem.startswith("WORKER_PORT: holds an address")
    assert "enableServiceLinks" in problem


def test_addresses_of_servers() -> None:
    """What only other clients read is left out of DATABASE_URL; a password that is not escaped is not shown."""
    settings = load_settings(taiga_webhook_secrets="k", database_url="postgres://u:p@h/d?channel_binding=require")
    assert settings.database_url.get_secret_value() == "postgres://u:p@h/d"
    found = problems(
        taiga_webhook_secrets="k", database_url="postgresql://u:hunter2/@h/d", redis_url="valkey://hunter3"
    )
    assert [line.partition(":")[0] for line in found] == ["DATABASE_URL", "REDIS_URL"]
    assert "hunter" not in " ".join(found)


def test_metrics_port() -> None:
    """Empty means: at PORT."""
    assert load_settings(taiga_webhook_secrets="k", metrics_port="").metrics_port is None
    assert load_settings(taiga_webhook_secrets="k", metrics_port="0").metrics_port == 0
