"""Wake-ups survive what Redis and the network do: a line that went silent, an error that nobody foresaw."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from arq.connections import ArqRedis

from middleware.pipeline import wakeups as queue_module
from middleware.pipeline.wakeups import WAKE_CHANNEL, Wakeups, listen, open_queue
from middleware.web.health import check_redis
from tests.support.pipeline import until


class Line:
    """A network between us and Redis; what went through it until now may go silent without an end."""

    def __init__(self, path: str) -> None:
        self.made = 0
        self._path = path
        self._silent_from = 0

    def go_silent(self) -> None:
        """All present connections stay open, and nothing comes through any more."""
        self._silent_from = self.made

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.made += 1
        number = self.made
        there = await asyncio.open_unix_connection(self._path)
        try:
            await asyncio.gather(self._pass(number, reader, there[1]), self._pass(number, there[0], writer))
        finally:
            there[1].close()
            writer.close()

    async def _pass(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if number > self._silent_from:
                writer.write(data)
        writer.write_eof()


@asynccontextmanager
async def line_to(redis_url: str) -> AsyncIterator[tuple[Line, str]]:
    """A line to Redis and its address."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        pytest.skip("the Redis of REDIS_URL has no socket")
    line = Line(parts.path)
    async with await asyncio.start_server(line.serve, "127.0.0.1", 0) as server:
        yield line, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_a_line_that_went_silent(fresh_redis: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that neither ends nor says anything is given up, and messages come through a new one."""
    monkeypatch.setattr(queue_module, "SILENT_SECONDS", 0.4)
    woken: list[None] = []
    async with line_to(fresh_redis) as (line, url), redis.asyncio.Redis.from_url(fresh_redis) as client:

        async def is_woken() -> bool:
            await client.publish(WAKE_CHANNEL, 1)
            return bool(woken)

        listening = asyncio.create_task(listen(url, lambda: woken.append(None)))
        try:
            await until(is_woken)
            await asyncio.sleep(1.5)
            assert line.made == 1
            line.go_silent()
            await asyncio.sleep(0.05)
            woken.clear()
            await until(is_woken, seconds=10)
        finally:
            listening.cancel()
            await asyncio.wait([listening])


class Stumbling(ArqRedis):
    """A queue that fails at first in a way that nobody foresaw."""

    stumbles = 0

    async def publish(self, channel: Any, message: Any, **kwargs: Any) -> int:
        """Tell the listeners, the second time."""
        self.stumbles += 1
        if self.stumbles == 1:
            raise RuntimeError("readuntil() called while another coroutine is already waiting for incoming data")
        return int(await super().publish(channel, message, **kwargs))


async def test_an_error_that_nobody_foresaw(fresh_redis: str) -> None:
    """Wake-ups go on after a mistake in what sends them."""
    queue = open_queue(fresh_redis)
    queue.__class__ = Stumbling  # whatever else it does is real
    wakeups = Wakeups(queue)
    await wakeups.start()
    wakeups.notify([1])
    await until(lambda: _has_stumbled(queue))
    wakeups.notify([2])
    await until(lambda: _is_empty(wakeups), seconds=10)
    await wakeups.stop()


async def _has_stumbled(queue: ArqRedis) -> bool:
    return isinstance(queue, Stumbling) and queue.stumbles > 0


async def _is_empty(wakeups: Wakeups) -> bool:
    return not wakeups._unsent


class Resets:
    """A client of Redis whose connection fails in a way that no error of Redis is."""

    async def ping(self) -> None:
        """What uvloop says of a connection that was reset."""
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")


async def test_any_failure_of_the_client_is_unreachable() -> None:
    """Readiness says so instead of failing itself."""
    check = await check_redis(Resets())  # type: ignore[arg-type]  # all that is asked of it
    assert (check.state, "RuntimeError: unable" in check.message) == ("degraded", True)
