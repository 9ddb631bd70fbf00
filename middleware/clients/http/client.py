"""What all clients share: one way to send a request, to record it and to name its failure."""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import httpx

from handlers.errors import Doubtful, RemoteError, ServerError
from mappings.errors import NotUnderstood
from mappings.values.text import shortened
from middleware.clients.http.calls import Call, record
from middleware.clients.http.clock_skew import RemoteClock
from middleware.clients.http.failures import NOT_JSON, Dialect, from_exception, from_status, not_the_api
from middleware.clients.http.json_codec import read_json, write_json
from middleware.clients.http.transport import pooled_transport

TIMEOUTS = httpx.Timeout(connect=5.0, read=30.0, write=10.0, pool=5.0)
"""Seconds. `read` is the longest silence, not the whole answer: that is limited by `LONGEST_REQUEST`."""

LIMITS = httpx.Limits(max_connections=20, max_keepalive_connections=10, keepalive_expiry=4.0)
"""Connections are given back before Apache's 5 s keep-alive ends, so that few requests meet a closing one."""

LONGEST_REQUEST = 90.0
"""Seconds for a whole exchange, whatever the server sends in between."""

_LONGEST_TARGET = 300
_ADDRESS = re.compile(r"=[^&]*(?:@|%40)[^&]*")

Params = Mapping[str, str | int]
Row = Mapping[str, Any]
Record = TypeVar("Record")
Admit = Callable[[str], AbstractAsyncContextManager[None]]
"""Around each request, given its label: waits for its turn, or raises `Suspended`; sees how the request ends."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer. `data` is the decoded JSON, None for an empty body."""

    request: str
    status: int
    headers: httpx.Headers
    data: Any


class _NoCookies(httpx.Cookies):
    """Looks for no cookies in answers: for APIs with tokens that is half the cost of reading one."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave them."""


class Plain(httpx.AsyncClient):
    """An httpx client that keeps no cookies."""

    _none = _NoCookies()

    @property
    def cookies(self) -> httpx.Cookies:
        """None, always."""
        return self._none

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        """Leave them out."""


def _without_addresses(target: str) -> str:
    """The path and query as they may be written down: e-mail addresses of payers stand nowhere in the clear."""
    return _ADDRESS.sub("=(hidden)", target) if "@" in target or "%40" in target else target


@lru_cache(maxsize=1024)
def _below(base: httpx.URL, path: str) -> httpx.URL:
    """The address of a path below a base; reading an address costs more than writing the request."""
    return httpx.URL(f"{str(base).rstrip('/')}/{path.lstrip('/')}")


def open_http(
    base: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """An httpx client as every remote system gets it: explicit timeouts, no redirects, connections that are kept.

    The caller closes it.
    """
    return Plain(
        base_url=base,
        headers={"Accept": "application/json", "User-Agent": "taiga-billing", **headers},
        timeout=TIMEOUTS,
        limits=LIMITS,
        follow_redirects=False,
        transport=transport or pooled_transport(LIMITS),
    )


class RemoteClient:
    """Base of the clients: sends through an injected `httpx.AsyncClient`, raises only `handlers.errors`."""

    def __init__(self, http: httpx.AsyncClient, dialect: Dialect) -> None:
        self._http = http
        self._dialect = dialect
        self._admit: Admit = _always_open

    def through(self, admit: Admit) -> None:
        """From now on every request goes through `admit`, which limits and interrupts the traffic to the system."""
        self._admit = admit

    def watch_clock(self) -> RemoteClock:
        """Compare the clock of this system with ours from now on."""
        clock = RemoteClock()
        clock.watch(self._http)
        return clock

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        is_read: bool | None = None,
    ) -> Reply:
        """Send, record, classify. `path` is below the base address; `is_read` tells that a POST changes nothing.

        Raises:
            RemoteError: one of its subclasses, see `middleware.clients.http.failures`.
        """
        request = self._build(method, path, params, body, headers)
        return await self._exchange(request, is_read=method == "GET" if is_read is None else is_read)

    async def _exchange(self, request: httpx.Request, *, is_read: bool) -> Reply:
        target = shortened(_without_addresses(request.url.raw_path.decode("ascii")), _LONGEST_TARGET)
        label = f"{request.method} {target}"
        async with self._admit(label):
            return await self._recorded(request, target, label, is_read=is_read)

    async def _recorded(self, request: httpx.Request, target: str, label: str, *, is_read: bool) -> Reply:
        started = time.monotonic()
        status: int | None = None
        error: str | None = "cancelled"
        is_unsettled = not is_read
        try:
            response = await self._send(request, label)
            status = response.status_code
            reply = self._read(label, response, is_read=is_read)
            error, is_unsettled = None, False
        except RemoteError as failure:
            error = f"{type(failure).__name__}: {failure.message}"
            is_unsettled = not is_read and isinstance(failure, Doubtful | ServerError)
            raise
        else:
            return reply
        finally:
            ms = round((time.monotonic() - started) * 1000)
            record(Call(self._dialect.system, request.method, target, status, ms, error, is_unsettled))

    def _typed(self, read: Callable[[Row], Record], row: Any, request: str, *, is_read: bool) -> Record:
        """The record in an answer.

        Raises:
            Doubtful: the answer has another shape than the API's, see `not_the_api`.
        """
        try:
            return read(row)
        except (AttributeError, LookupError, TypeError, ValueError, NotUnderstood) as error:
            what = f"an answer of another shape ({error!r})"
            raise not_the_api(self._dialect, request, is_read=is_read, status=httpx.codes.OK, what=what) from error

    async def _send(self, request: httpx.Request, label: str) -> httpx.Response:
        """The one place where requests leave."""
        try:
            async with asyncio.timeout(LONGEST_REQUEST):
                return await self._http.send(request)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, TimeoutError) as error:
            raise from_exception(self._dialect, label, error) from error

    def _build(
        self, method: str, path: str, params: Params | None, body: Any, headers: Mapping[str, str] | None
    ) -> httpx.Request:
        content = None if body is None else write_json(body)
        sent = dict(headers or {}) if content is None else {"Content-Type": "application/json", **(headers or {})}
        address = _below(self._http.base_url, path)
        return self._http.build_request(method, address, params=params, content=content, headers=sent)

    def _read(self, label: str, response: httpx.Response, *, is_read: bool) -> Reply:
        data = _decoded(response)
        failure = from_status(self._dialect, label, response.status_code, response.headers, data)
        if failure is not None:
            raise failure
        if data is NOT_JSON:
            what = f"an answer that is not JSON ({response.headers.get('content-type', 'no content type')})"
            raise not_the_api(self._dialect, label, is_read=is_read, status=response.status_code, what=what)
        return Reply(label, response.status_code, response.headers, data)


def _always_open(_label: str) -> AbstractAsyncContextManager[None]:
    return nullcontext()


def _decoded(response: httpx.Response) -> Any:
    if response.status_code == httpx.codes.NO_CONTENT:
        return None
    try:
        return read_json(response.content)
    except (ValueError, RecursionError):
        return NOT_JSON
