"""A processor on a real store, with a handler that does what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg

from handlers.event import Work
from handlers.outcome import Outcome, Processed
from mappings.codes import Code
from middleware.pipeline.processor import Limits, Processor
from middleware.store.events.events import EventRow, EventStore
from tests.support.pipeline import statuses, until

LIMITS = Limits(concurrency=8, attempt_timeout=5, sweep_seconds=0.05, keep_trying=timedelta(hours=72))
NINJA = "invoiceninja"


class Bench:
    """A processor on a real store, with a handler that does what a test wants."""

    def __init__(self, url: str, pool: asyncpg.Pool) -> None:
        self.url = url
        self.pool = pool
        self.store = EventStore(pool)
        self.works: list[Work] = []
        self.observed: list[tuple[str, str, str]] = []
        self.handle: Callable[[Work], Awaitable[Outcome]] = done

    def processor(self, **limits: Any) -> Processor:
        """Another processor on the same store."""
        return Processor(self.url, self._dispatch, self._observe, replace(LIMITS, **limits))

    @asynccontextmanager
    async def running(self, **limits: Any) -> AsyncIterator[Processor]:
        """A processor at work, stopped in the end."""
        processor = self.processor(**limits)
        task = asyncio.create_task(processor.run())
        try:
            yield processor
        finally:
            await processor.stop(grace=5)
            await task

    async def settled(self, status: str, count: int = 1) -> None:
        """Wait until this many events are in a status."""
        await until(lambda: self._has(status, count))

    async def _has(self, status: str, count: int) -> bool:
        return (await statuses(self.pool)).get(status) == count

    async def row(self, event_id: int = 1) -> EventRow:
        """An event as it is now."""
        row = await self.store.find(event_id)
        assert row is not None
        return row

    async def _dispatch(self, work: Work) -> Outcome:
        self.works.append(work)
        return await self.handle(work)

    async def _observe(self, system: str, state: str, message: str) -> None:
        self.observed.append((system, state, message))


async def done(_work: Work) -> Outcome:
    """A handler that is always done."""
    return Processed(Code.TIME_RECORDED, "done")


def failing(error: BaseException) -> Callable[[Work], Awaitable[Outcome]]:
    """A handler that always fails in this way."""

    async def handle(_work: Work) -> Outcome:
        raise error

    return handle


async def unlocked(bench: Bench) -> bool:
    """Whether no advisory lock is held any more."""
    return not await bench.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


async def finished(bench: Bench, count: int) -> bool:
    """Whether this many events are processed or ignored."""
    now = await statuses(bench.pool)
    return now.get("processed", 0) + now.get("ignored", 0) == count


async def due_in(bench: Bench) -> float:
    """Seconds until the next try of the only event."""
    return float(await bench.pool.fetchval("SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM events"))


async def hurry(bench: Bench) -> None:
    """Make every waiting event due."""
    await bench.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")


async def waits_after(bench: Bench, attempts: int) -> bool:
    """Whether the only event waits after this many tries."""
    row = await bench.row()
    return (row.status, row.attempts) == ("retrying", attempts)


async def looked(bench: Bench, count: int) -> bool:
    """Whether the handler was called this often."""
    return len(bench.works) >= count


async def somebody_waits(bench: Bench) -> bool:
    """Whether a statement waits for a lock."""
    return bool(await bench.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
