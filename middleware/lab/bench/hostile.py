"""What hostile senders do to a receiver, each again and again until a moment: their bytes are never proven."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

MEBIBYTE = 1024 * 1024
IDLE, BIG, FLOODS = 450, 40, 4
_POST = b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
PAUSE = 0.05


async def _idle(port: int, until: float) -> None:
    """A connection that says nothing."""
    await _send(port, until, b"")


async def _big(port: int, until: float) -> None:
    """Five megabytes but for their last byte."""
    await _send(port, until, _POST + b"Content-Length: %d\r\n\r\n" % (5 * MEBIBYTE), b"a" * (5 * MEBIBYTE - 1))


async def _pipelined(port: int, until: float) -> None:
    """Thousands of requests in one piece."""
    await _send(port, until, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)


async def _trailers(port: int, until: float) -> None:
    """A body of one byte with megabytes of trailers."""
    await _send(port, until, _CHUNKED + b"1\r\na\r\n0\r\nX-Long: ", *[b"a" * 65536] * 64)


async def _tiny_chunks(port: int, until: float) -> None:
    """A body in chunks of one byte."""
    await _send(port, until, _CHUNKED, *[b"1\r\na\r\n" * 10_000] * 20)


ATTACKS: tuple[tuple[Callable[[int, float], Awaitable[None]], int], ...] = (
    (_idle, IDLE),
    (_big, BIG),
    (_pipelined, FLOODS),
    (_trailers, FLOODS),
    (_tiny_chunks, FLOODS),
)


async def attack(port: int, until: float) -> int:
    """Do all of it at once; returns how many connections were made."""
    made = 0

    async def again(one: Callable[[int, float], Awaitable[None]]) -> None:
        nonlocal made
        while time.monotonic() < until:
            made += 1
            with suppress(OSError):
                await one(port, until)
            await asyncio.sleep(PAUSE)

    async with asyncio.TaskGroup() as group:
        for one, times in ATTACKS:
            for _ in range(times):
                group.create_task(again(one))
    return made


async def _send(port: int, until: float, *pieces: bytes) -> None:
    """Send the pieces, then wait until the receiver ends the connection, or it is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(max(0.0, until - time.monotonic())):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            while await reader.read(65536):
                pass
    except TimeoutError:
        return
    finally:
        writer.close()
