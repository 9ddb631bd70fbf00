"""The connections below httpx: aiohttp's, which cost a fifth of the processor time of httpx's own.

Two habits of it are unlearned here, because a request that was sent may have been carried out: it names a connection
that broke under a request like one that was never made, and it repeats PUT and DELETE by itself, though a PUT is not
always safe to repeat (Invoice Ninja applies a payment once more, docs/facts/invoice-ninja.md section 9).
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from urllib.request import getproxies

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport


@contextmanager
def named_rightly() -> Iterator[None]:
    """Name a failure for what it says about the request: not begun, or broken on the way."""
    try:
        yield
    except httpx.ConnectTimeout as error:
        cause = error.__cause__
        if isinstance(cause, aiohttp.ConnectionTimeoutError):
            raise
        if isinstance(cause, aiohttp.ClientConnectorError):
            raise httpx.ConnectError(str(error)) from cause
        raise httpx.ReadError(f"the connection broke: {cause!r}") from cause
    except aiohttp.ClientError as error:
        raise httpx.RemoteProtocolError(f"the answer is not HTTP: {type(error).__name__}") from error


class _Body(httpx.AsyncByteStream):
    """The body of an answer, with its failures named rightly."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with named_rightly():
            async for chunk in self._stream:
                yield chunk

    async def aclose(self) -> None:
        with named_rightly():
            await self._stream.aclose()


class PooledTransport(AiohttpTransport):
    """Keeps connections alive, sends each request once and tells a broken exchange from one that never began."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ConnectError: no connection was made; ConnectTimeout likewise.
            httpx.ReadError: the connection broke after the request was begun.
            httpx.RemoteProtocolError: the answer is not HTTP.
        """
        with named_rightly():
            response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Body(response.stream)
        return response

    def get_client(self) -> aiohttp.ClientSession:
        """A session without cookies that sends each request once."""
        connector = aiohttp.TCPConnector(
            ssl=self.ssl_context,
            limit=self.limits.max_connections or 0,
            keepalive_timeout=self.limits.keepalive_expiry,
        )
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        session._retry_connection = False  # noqa: SLF001 - there is no public switch; a test counts the requests
        return session


def pooled_transport(limits: httpx.Limits) -> httpx.AsyncBaseTransport | None:
    """The transport for the network; None, which means httpx's own, where a proxy is set in the environment."""
    return None if getproxies() else PooledTransport(limits=limits)
