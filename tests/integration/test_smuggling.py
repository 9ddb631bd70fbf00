"""A body is never a request: what no proxy and we could read differently is refused, cut at every byte."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from middleware.web import connection as guard
from middleware.web.body_budget import BodyBudget
from middleware.web.connection_limits import ConnectionLimits, network_of
from middleware.web.listen import listen_on
from middleware.web.server import web_server

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
VICTIM = b"POST /victim HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"


class Seen:
    """An application that remembers which requests reached it, with their bodies."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body and answer 200."""
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            more = message["more_body"]
        self.requests.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def running(seen: Seen, **settings: float) -> AsyncIterator[int]:
    """A server as `serve` runs it, on a free port."""
    listener = listen_on("127.0.0.1", 0)
    server = web_server(seen, "127.0.0.1", 0, **settings)  # type: ignore[arg-type]  # numbers of both kinds
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def exchange(port: int, *pieces: bytes) -> bytes:
    """Send the pieces, each read by the server before the next is sent; everything it answers until the end."""
    loop = asyncio.get_running_loop()
    answer = b""
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sender.settimeout(0)
        with suppress(OSError):
            for piece in pieces:
                await loop.sock_sendall(sender, piece)
                for _ in range(4):
                    await asyncio.sleep(0)
            sender.shutdown(socket.SHUT_WR)
        # What came before a reset is read all the same.
        with suppress(ConnectionError):
            while more := await asyncio.wait_for(loop.sock_recv(sender, 65536), 60):
                answer += more
    return answer


def post(*headers: str, body: bytes = SMUGGLED) -> bytes:
    """A request with these headers and a request in its body."""
    lines = ["POST /attack HTTP/1.1", "Host: x", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


LENGTH = f"Content-Length: {len(SMUGGLED)}"
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
REFUSED = {
    "upgrade": post("Connection: Upgrade", "Upgrade: h2c", LENGTH),
    "upgrade to websocket": post("Connection: keep-alive, upgrade", "Upgrade: websocket", LENGTH),
    "upgrade without a body": post("Connection: Upgrade", "Upgrade: x"),
    "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n" + LENGTH.encode() + b"\r\n\r\n" + SMUGGLED,
    "expectation": post("Expect: something", LENGTH),
    "length and chunks": post(LENGTH, "Transfer-Encoding: chunked"),
    "two lengths": post("Content-Length: 0", LENGTH),
    "signed length": post(f"Content-Length: +{len(SMUGGLED)}"),
    "encoded twice": post("Transfer-Encoding: chunked, chunked", body=CHUNKED),
    "another encoding": post("Transfer-Encoding: gzip, chunked", body=CHUNKED),
    "trailers": post("Transfer-Encoding: chunked", body=CHUNKED[:-2] + b"X-Late: 1\r\n\r\n"),
    "no host": b"POST /attack HTTP/1.1\r\n" + LENGTH.encode() + b"\r\n\r\n" + SMUGGLED,
    "two hosts": post("Host: y", LENGTH),
    "control characters": b"GET /metrics%0a HTTP/1.1\r\nHost: x\r\n\r\n",
    "delete": b"GET /a%7Fb HTTP/1.1\r\nHost: x\r\n\r\n",
    "folded header": post("X-A: b", " folded", LENGTH),
    "space before the colon": post(f"Content-Length : {len(SMUGGLED)}"),
    "bare line feed": b"POST /attack HTTP/1.1\nHost: x\n" + LENGTH.encode() + b"\n\n" + SMUGGLED,
}
TAKEN = {
    "length": post(LENGTH),
    "chunks": post("Transfer-Encoding: chunked", body=CHUNKED),
    "chunk extensions": post("Transfer-Encoding: Chunked", body=CHUNKED.replace(b"\r\nGET", b";a=b\r\nGET")),
    "expectation": post("Expect: 100-Continue", LENGTH),
    "upgrade that nobody asked for": post("Upgrade: h2c", LENGTH),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused(name: str) -> None:
    """Wherever it is cut, nothing of it and nothing behind it reaches the application; what is before it does."""
    attack, seen = REFUSED[name], Seen()
    async with running(seen) as port:
        for cut in range(1, len(attack)):
            answer = await exchange(port, VICTIM, attack[:cut], attack[cut:] + VICTIM)
            assert {path for path, _ in seen.requests} == {"/victim"}, (cut, answer)
            assert len(seen.requests) == 1, (cut, answer)
            assert answer.startswith(b"HTTP/1.1 200"), (cut, answer)
            seen.requests.clear()
        alone = await exchange(port, attack)
        assert alone[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 417"), alone
        assert seen.requests == []


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_taken(name: str) -> None:
    """Wherever it is cut, the body stays a body and the next request is the next one."""
    request, seen = TAKEN[name], Seen()
    async with running(seen) as port:
        for cut in range(1, len(request)):
            await exchange(port, request[:cut], request[cut:] + VICTIM)
            assert seen.requests == [("/attack", SMUGGLED), ("/victim", b"hello")], cut
            seen.requests.clear()


async def test_headers_beyond_the_limit_at_once() -> None:
    """33 KiB of headers are refused, also when they arrive in one piece with their end."""
    async with running(Seen()) as port:
        pads = [f"X-Pad-{number}: {'a' * 8000}" for number in range(5)]
        assert (await exchange(port, post(*pads, LENGTH))).startswith(b"HTTP/1.1 431")


async def test_pipelined_requests_are_few() -> None:
    """Some requests may wait on a connection; of a flood the first ones are answered, and nothing else is read."""
    seen = Seen()
    async with running(seen) as port:
        assert (await exchange(port, VICTIM * 8)).count(b"HTTP/1.1 200") == 8
        flood = await exchange(port, SMUGGLED * 5000)
        assert 1 <= flood.count(b"HTTP/1.1 200") <= guard.MOST_PIPELINED + 1
        assert len(seen.requests) <= 8 + guard.MOST_PIPELINED + 1


async def test_endless_trailers() -> None:
    """What follows the last chunk is counted like headers, also when it is one line without an end."""
    head = post("Transfer-Encoding: chunked", body=b"1\r\na\r\n0\r\n")
    async with running(Seen()) as port:
        for line in (b"X-Abc: " + b"a" * 100 + b"\r\n", b"a" * 100):
            endless = await exchange(port, head + b"X-Long: ", *[line * 100] * 200)
            assert endless.startswith(b"HTTP/1.1 400"), endless


async def test_tiny_chunks() -> None:
    """A body in chunks of a byte is refused early; one in ordinary chunks is taken however long it is."""
    seen = Seen()
    async with running(seen) as port:
        tiny = await exchange(port, post("Transfer-Encoding: chunked", body=b"1\r\na\r\n" * 10_000))
        assert tiny.startswith(b"HTTP/1.1 400")
        ordinary = b"400\r\n" + b"a" * 1024 + b"\r\n"
        taken = await exchange(port, post("Transfer-Encoding: chunked", body=ordinary * 2000 + b"0\r\n\r\n"))
        assert taken.startswith(b"HTTP/1.1 200")
    assert [len(body) for _, body in seen.requests] == [2000 * 1024]


async def test_half_closed_sender_gets_its_answer() -> None:
    """A sender that closes its writing half after the request is answered (`exchange` does so)."""
    async with running(Seen()) as port:
        assert (await exchange(port, VICTIM)).startswith(b"HTTP/1.1 200")


async def test_big_bodies_wait_in_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """More big bodies than fit are all taken, a few at a time; small ones never wait, stalled ones are cut off."""
    monkeypatch.setattr("middleware.web.connection.BodyBudget", lambda: BodyBudget(300_000))
    monkeypatch.setattr("middleware.web.body_budget.STALLED_SECONDS", 0.1)
    seen = Seen()
    body = b"a" * 200_000
    head = f"POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with running(seen, body_seconds=10) as port:
        stalled = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        for _, writer in stalled:
            writer.write(head + body[:-1])
        big = [asyncio.create_task(exchange(port, head + body)) for _ in range(10)]
        assert (await exchange(port, VICTIM)).startswith(b"HTTP/1.1 200")
        assert [answer[:12] for answer in await asyncio.gather(*big)] == [b"HTTP/1.1 200"] * 10
        for reader, writer in stalled:
            assert (await asyncio.wait_for(reader.read(), 60)).startswith(b"HTTP/1.1 408")
            writer.close()
    assert len(seen.requests) == 11


async def test_idle_connections_make_room() -> None:
    """However many connections say nothing, the next one is answered: the one that waited the longest is closed."""
    async with running(Seen(), max_connections=8) as port:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        assert (await exchange(port, VICTIM)).startswith(b"HTTP/1.1 200")
        reader, _ = idle[0]
        assert await asyncio.wait_for(reader.read(), 60) == b""
        for _, writer in idle:
            writer.close()


class Stub:
    """A connection that is idle since a moment."""

    def __init__(self, since: float, *, waits: bool = True) -> None:
        self.waiting_since = since
        self.waits_for_sender = waits
        self.is_open = True

    def give_up(self) -> None:
        """Remember it."""
        self.is_open = False
        self.waits_for_sender = False


def test_one_address_has_its_share() -> None:
    """An address gets a quarter and closes its own; a proxy speaks for many; nobody gets beyond twice the limit."""
    limits = ConnectionLimits(8, "10.0.0.1,fd00::1")
    greedy = [Stub(number) for number in range(6)]
    for number, one in enumerate(greedy, start=1):
        assert limits.enter(one, f"2001:db8::{number}", number)
    assert [one.is_open for one in greedy] == [False] * 4 + [True] * 2
    proxied = [Stub(6) for _ in range(7)]
    assert all(limits.enter(one, "10.0.0.1", 6) for one in proxied)
    assert [one.is_open for one in greedy] == [False] * 5 + [True]
    assert all(one.is_open for one in proxied)
    assert limits.enter(Stub(8), "10.0.0.1", 8)
    assert not greedy[5].is_open


def test_who_just_came_is_not_closed() -> None:
    """Within a second nobody is closed for another, until there are twice too many: then the oldest, or the new one."""
    limits = ConnectionLimits(4, "10.0.0.1")
    fresh = [Stub(number / 100) for number in range(8)]
    assert all(limits.enter(one, "10.0.0.1", one.waiting_since) for one in fresh)
    assert all(one.is_open for one in fresh)
    assert limits.enter(Stub(0.1, waits=False), "10.0.0.1", 0.1)
    assert [one.is_open for one in fresh] == [False] + [True] * 7
    busy = [Stub(0.2, waits=False) for _ in range(7)]
    assert all(limits.enter(one, "10.0.0.1", 0.2) for one in busy)
    assert not any(one.is_open for one in fresh)
    assert not limits.enter(Stub(0.3), "10.0.0.1", 0.3)
    limits.leave(busy[0], "10.0.0.1")
    assert limits.enter(Stub(0.3), "10.0.0.1", 0.3)
    limits.leave(Stub(0), "192.0.2.99")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
        ("", ""),
    ],
)
def test_ipv6_customers_are_one_sender(address: str, network: str) -> None:
    """An IPv6 customer has 2^64 addresses: they count as one."""
    assert network_of(address) == network


def test_what_is_used_of_uvicorn() -> None:
    """The places of uvicorn's protocol that are overridden are there: with the next uvicorn, look at them again."""
    assert [name for name in guard.USED_OF_UVICORN if not hasattr(HttpToolsProtocol, name)] == []
