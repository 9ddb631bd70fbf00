"""A real receiver under abuse: raw sockets that no HTTP library would make."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from pydantic import SecretStr

from middleware.app import create_app
from middleware.lab.bench.load import SECRET, request_for, task_webhook
from middleware.settings import Settings
from middleware.sources.signing import sign_taiga
from middleware.web import connection as guard
from middleware.web.listen import listen_on
from middleware.web.server import QuietServer, web_server


@asynccontextmanager
async def receiver(
    database_url: str, redis_url: str, max_connections: int = 400, body_seconds: float = 60
) -> AsyncIterator[tuple[int, QuietServer]]:
    """A receiver on a free port."""
    settings = Settings(
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        taiga_webhook_secrets=(SecretStr(SECRET),),
        max_connections=max_connections,
    )
    listener = listen_on("127.0.0.1", 0)
    server = web_server(
        create_app(settings), "127.0.0.1", 0, max_connections=max_connections, body_seconds=body_seconds
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield listener.getsockname()[1], server
    finally:
        server.should_exit = True
        await serving


async def told(port: int, *sent: bytes, pause: float = 0.0) -> bytes:
    """Send these pieces and read until the connection is closed; what is still being sent then meets a reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    with suppress(ConnectionError):
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
    try:
        return await asyncio.wait_for(answer, 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def answer_to(port: int, request: bytes) -> int:
    """The status that a request gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    line = await asyncio.wait_for(reader.readline(), 60)
    writer.close()
    return int(line.split()[1])


def forged(number: int) -> bytes:
    """A whole request with a wrong signature."""
    body = task_webhook(number)
    head = (
        "POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"X-TAIGA-WEBHOOK-SIGNATURE: {sign_taiga(body, 'another key')}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def test_headers_without_end(clean_database: str, fresh_redis: str) -> None:
    """Headers beyond 32 KiB are refused, however they are cut into pieces."""
    async with receiver(clean_database, fresh_redis) as (port, _):
        begin = b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\n"
        assert (await told(port, begin, *[b"X-Pad: " + b"a" * 8000 + b"\r\n"] * 5, pause=0.02)).startswith(
            b"HTTP/1.1 431"
        )
        assert await told(port, begin, *[b"X-Pad: " + b"a" * 8000 + b"\r\n"] * 500) in (b"", guard.TOO_LARGE)
        assert await answer_to(port, request_for(1)) == 202


async def test_slow_headers_and_silence(clean_database: str, fresh_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who says nothing, or sends a header letter by letter, is cut off; so is a body that nobody reads."""
    monkeypatch.setattr(guard, "HEADER_SECONDS", 0.2)
    async with receiver(clean_database, fresh_redis, body_seconds=0.3) as (port, _):
        assert await told(port) == b""
        assert await told(port, *[b"P", b"O", b"S", b"T"], pause=0.1) == b""
        unread = b"POST /webhooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        assert (await told(port, unread, *[b"a"] * 3, pause=0.05)).startswith(b"HTTP/1.1 404")
        assert await answer_to(port, request_for(2)) == 202


async def test_more_idle_connections_than_allowed(clean_database: str, fresh_redis: str) -> None:
    """Idle connections from the same address cost no webhook, however many there are."""
    async with receiver(clean_database, fresh_redis, max_connections=5) as (port, _):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        assert await answer_to(port, request_for(3)) == 202
        for _, writer in idle:
            writer.close()


async def test_a_good_signature_is_taken_between_bad_ones(clean_database: str, fresh_redis: str) -> None:
    """At an address that sends bad signatures only, from the first second on, the good webhook is taken."""
    async with receiver(clean_database, fresh_redis) as (port, _):
        assert {await answer_to(port, forged(1)) for _ in range(120)} == {403}
        assert await answer_to(port, request_for(4)) == 202


async def test_valid_webhooks_between_garbage(clean_database: str, fresh_redis: str) -> None:
    """While many connections send garbage without a pause, every valid webhook is stored and acknowledged."""
    async with receiver(clean_database, fresh_redis) as (port, _), aiohttp.ClientSession(trust_env=False) as session:
        is_over = False
        garbage = 0

        async def spam(number: int) -> None:
            nonlocal garbage
            url = f"http://127.0.0.1:{port}/webhooks/taiga"
            while not is_over:
                body = b"{" * 500 if number % 2 else task_webhook(number)
                async with session.post(url, data=body, headers={"X-TAIGA-WEBHOOK-SIGNATURE": "0" * 40}) as answer:
                    garbage += 1
                    assert answer.status == 403

        spamming = [asyncio.create_task(spam(number)) for number in range(16)]
        answers = [await answer_to(port, request_for(100 + number)) for number in range(60)]
        is_over = True
        await asyncio.gather(*spamming)
    assert answers == [202] * 60
    assert garbage > 60


async def test_keep_alive_request_at_the_end_is_answered(clean_database: str, fresh_redis: str) -> None:
    """A request that arrives on a kept connection while the receiver is told to stop gets its answer, not a reset."""
    async with receiver(clean_database, fresh_redis) as (port, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_for(7))
        first = await reader.readuntil(b"\r\n\r\n")
        length = int(first.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert json.loads(await reader.readexactly(length))["status"] == "accepted"
        server.should_exit = True
        while not any(getattr(one, "_is_leaving", False) for one in server.server_state.connections):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)
        writer.write(request_for(8))
        rest = await asyncio.wait_for(reader.read(), 60)
        writer.close()
    assert rest.startswith(b"HTTP/1.1 202")
    assert b"connection: close" in rest.lower()
