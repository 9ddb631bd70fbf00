"""The cookies of the dashboard and the proof that a form came from one of its pages."""

import hmac
from collections.abc import Mapping

SESSION_SECONDS = 7 * 24 * 3600
FORM_SECONDS = 3600
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def must_be_secure(scheme: str, hostname: str | None) -> bool:
    """Whether cookies travel over TLS only: always, but for http on this very machine."""
    return scheme == "https" or hostname not in _LOCAL_HOSTS


def cookie_name(purpose: str, *, secure: bool) -> str:
    """The name of a cookie; `__Host-` makes browsers refuse one that another host or path has set."""
    return f"__Host-taiga-billing-{purpose}" if secure else f"taiga-billing-{purpose}"


def is_same(expected: str, given: str) -> bool:
    """Whether a form carries the right token."""
    return bool(expected) and hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def comes_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether the browser itself says that another site sent this form."""
    return headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
