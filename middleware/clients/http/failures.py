"""The one place where the failures of remote systems become the taxonomy of `handlers.errors`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from handlers.errors import Doubtful, NotFound, Refused, Rejected, RemoteError, ServerError, Throttled, Unreachable
from middleware.clients.http.error_bodies import field_errors, message_of

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_NEVER_SENDABLE = (httpx.UnsupportedProtocol, httpx.InvalidURL)

_TOO_LARGE = (
    httpx.codes.REQUEST_ENTITY_TOO_LARGE,
    httpx.codes.REQUEST_URI_TOO_LONG,
    httpx.codes.REQUEST_HEADER_FIELDS_TOO_LARGE,
)
"""What a proxy may say about the request itself."""

_DEFAULT_WAIT = 60.0
"""Seconds to wait after a 429 that does not say how long (Invoice Ninja never says)."""

_LONGEST_WAIT = 86_400.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one system says what all of them say.

    `refused` are the statuses that mean our credentials; `is_missing` and `throttled_for` look at status and decoded
    body. `address_setting` and `credential_setting` are named to the person who must repair them.
    """

    system: str
    address_setting: str
    credential_setting: str
    refused: frozenset[int]
    is_missing: Callable[[int, Any], bool]
    throttled_for: Callable[[int, Any], float | None]


NOT_JSON: Any = object()
"""Stands for a body that is no JSON."""


def from_exception(dialect: Dialect, request: str, error: Exception) -> RemoteError:
    """What an exception of httpx (or our own time limit) says about the request.

    Only failures to connect are certain to have changed nothing; whatever else is raised may come after the sending.
    """
    what = f"{type(error).__name__} {error}".strip()
    if isinstance(error, _NOT_SENT):
        return Unreachable(dialect.system, request, f"no connection ({what})")
    if isinstance(error, _NEVER_SENDABLE):
        return Rejected(
            dialect.system, request, f"the address cannot be used ({what}); check {dialect.address_setting}"
        )
    return Doubtful(dialect.system, request, f"the answer was lost ({what})")


def from_status(
    dialect: Dialect, request: str, status: int, headers: Mapping[str, str], body: Any
) -> RemoteError | None:
    """What a status other than success says; None for 2xx. `body` is the decoded JSON or `NOT_JSON`."""
    if httpx.codes.is_success(status):
        return None
    said = _said(body)
    wait = _wait(dialect, status, headers, body)
    if wait is not None:
        return Throttled(dialect.system, request, said, retry_after=wait, status=status)
    if httpx.codes.is_server_error(status):
        return ServerError(dialect.system, request, said, status=status)
    if httpx.codes.is_redirect(status):
        target = headers.get("location", "").partition("?")[0] or "nowhere"
        return not_the_api(dialect, request, is_read=True, status=status, what=f"redirected to {target}")
    return _from_client_error(dialect, request, status, headers, body)


def not_the_api(dialect: Dialect, request: str, *, is_read: bool, status: int, what: str) -> Doubtful:
    """An answer that something else than the API gave: a page, a redirect, another JSON.

    Invoice Ninja answers a wrong path with 200 and its web page, proxies answer with theirs. It says nothing about our
    request, and it ends when the address or the proxy is repaired: so it is looked up and tried again, never given up.
    """
    effect = "" if is_read else "; it is not known whether the request was carried out"
    hint = f"{what}{effect}; if this stays so, check the base address {dialect.address_setting}"
    return Doubtful(dialect.system, request, hint, status=status)


def _from_client_error(
    dialect: Dialect, request: str, status: int, headers: Mapping[str, str], body: Any
) -> RemoteError:
    said = _said(body)
    if status in dialect.refused or (status == httpx.codes.UNAUTHORIZED and "www-authenticate" in headers):
        hint = f"{said}; check {dialect.credential_setting}"
        return Refused(dialect.system, request, hint, status=status)
    if status == httpx.codes.REQUEST_TIMEOUT:
        return Doubtful(dialect.system, request, said, status=status)
    if body is not NOT_JSON and dialect.is_missing(status, body):
        return NotFound(dialect.system, request, said, status=status, errors=field_errors(body))
    is_foreign = body is NOT_JSON or status == httpx.codes.NOT_FOUND
    if is_foreign and status not in _TOO_LARGE:
        return not_the_api(dialect, request, is_read=True, status=status, what=said)
    return Rejected(dialect.system, request, said, status=status, errors=field_errors(body))


def _said(body: Any) -> str:
    if body is NOT_JSON:
        return "an answer that is not JSON"
    return message_of(body) or "no reason given"


def _wait(dialect: Dialect, status: int, headers: Mapping[str, str], body: Any) -> float | None:
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return retry_after(headers, datetime.now(UTC))
    return dialect.throttled_for(status, body)


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds to wait, at most a day: `Retry-After` (seconds or HTTP date), Taiga's own header, else 60."""
    for name in ("retry-after", "x-throttle-wait-seconds"):
        seconds = _seconds(headers.get(name, ""), now)
        if seconds is not None:
            return min(max(seconds, 0.0), _LONGEST_WAIT)
    return _DEFAULT_WAIT


def _seconds(text: str, now: datetime) -> float | None:
    stripped = text.strip()
    if stripped.isascii() and stripped.replace(".", "", 1).isdigit():
        return float(stripped)
    try:
        moment = parsedate_to_datetime(stripped)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - now).total_seconds()
