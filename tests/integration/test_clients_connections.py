"""The connections below the clients, against servers that break them in every way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from middleware.clients.http.client import LIMITS, TIMEOUTS, open_http
from middleware.clients.http.transport import PooledTransport, pooled_transport

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}"

Act = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads requests without a body and lets `act` answer each; keeps what it read."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self.requests: list[str] = []
        self.url = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(head.decode())
                await self._act(len(self.requests), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(act: Act) -> AsyncIterator[Server]:
    """A server on a free port of this machine."""
    server = Server(act)
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()


async def answer(_number: int, writer: asyncio.StreamWriter) -> None:
    """Answer well."""
    writer.write(OK)
    await writer.drain()


async def answer_first_then_cut(number: int, writer: asyncio.StreamWriter) -> None:
    """Answer the first request, cut the connection under every later one."""
    if number == 1:
        await answer(number, writer)
    else:
        writer.transport.abort()


def client_of(url: str, **options: object) -> httpx.AsyncClient:
    """A client on the transport under test."""
    return httpx.AsyncClient(transport=PooledTransport(limits=LIMITS), base_url=url, **options)  # type: ignore[arg-type]  # passed through


async def test_nobody_listening_is_no_connection() -> None:
    """A refused connection is a ConnectError: the request was not carried out."""
    async with serving(answer) as server:
        url = server.url
    async with client_of(url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.post("/tasks")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_cut_after_sending_is_doubtful_and_never_repeated(method: str) -> None:
    """A connection cut under a request is a ReadError, and the request was sent once, on a kept connection too."""
    async with serving(answer_first_then_cut) as server, client_of(server.url) as http:
        await http.get("/ping")
        with pytest.raises(httpx.ReadError):
            await http.request(method, "/payments/1")
        assert len(server.requests) == 2


async def test_silence_is_a_read_timeout() -> None:
    """A server that never answers is a ReadTimeout."""

    async def stay_silent(_number: int, _writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async with serving(stay_silent) as server, client_of(server.url, timeout=httpx.Timeout(5, read=0.05)) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/tasks")


async def test_half_an_answer_is_a_read_error() -> None:
    """An answer that ends before its length is a ReadError, not an empty answer."""

    async def answer_half(_number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    async with serving(answer_half) as server, client_of(server.url) as http:
        with pytest.raises(httpx.ReadError):
            await http.get("/tasks")


async def test_nonsense_instead_of_http_is_no_success() -> None:
    """Something that is not HTTP ends in an error of httpx."""

    async def babble(_number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        await writer.drain()

    async with serving(babble) as server, client_of(server.url) as http:
        with pytest.raises(httpx.HTTPError):
            await http.get("/tasks")


async def test_connections_are_kept_and_cookies_are_not() -> None:
    """Requests one after the other use one connection, and no cookie of the server comes back to it."""
    async with serving(answer) as server, open_http(server.url, {}) as http:
        for _ in range(3):
            await http.get("/ping")
            http.cookies.clear()
        assert len(server.requests) == 3
        assert not any("cookie" in request.lower() for request in server.requests)
    assert TIMEOUTS.read is not None


def test_a_proxy_of_the_environment_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a proxy is set, httpx's own transport is used, which speaks through it."""
    assert isinstance(pooled_transport(LIMITS), PooledTransport)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert pooled_transport(LIMITS) is None
