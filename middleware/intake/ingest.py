"""The single door into the store: receiver, jobs, handlers, reconcile, pages and the command line all enter here.

An event is enqueued when its row is committed, never before. Requests that arrive while a commit is under way share the
next one: each still waits for its own row to be durable.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from handlers.event import Enqueued, NewEvent
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.settings import Settings
from middleware.store.batching import Batcher
from middleware.store.database import Pool, StoreUnavailableError
from middleware.store.events.events import EventStore

log = structlog.get_logger()

ROWS_PER_COMMIT = 256
# More than this waiting for a commit means that PostgreSQL is as good as away. The bytes of their bodies are bounded by
# the connections (`middleware.web.body_budget`).
MAX_WAITING = 5_000


class Ingest:
    """Stores events and wakes the workers; implements `EventSink`. `notify` is given the ids that became due."""

    def __init__(self, store: EventStore, notify: Callable[[Sequence[int]], None]) -> None:
        self._store = store
        self._notify = notify
        self._commits = Batcher(self._commit, ROWS_PER_COMMIT)
        self._waiting = 0

    async def enqueue(self, events: Sequence[NewEvent]) -> list[Enqueued]:
        """Commit the events and say, in order, what became of each.

        Raises:
            StoreUnavailableError: not all of them are known to be stored; the sender must try again.
        """
        if len(events) == 1:
            # As each webhook does it: without a task of its own.
            return [await self._enqueue(events[0])]
        results: list[Enqueued] = []
        for start in range(0, len(events), ROWS_PER_COMMIT):
            results += await asyncio.gather(*(self._enqueue(one) for one in events[start : start + ROWS_PER_COMMIT]))
        return results

    async def _enqueue(self, event: NewEvent) -> Enqueued:
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailableError(f"{self._waiting} requests wait for PostgreSQL already")
        self._waiting += 1
        try:
            return await self._commits.submit(event)
        except StoreUnavailableError:
            raise
        except Exception as error:
            # A mistake of ours: the sender tries again, the log says why.
            log.exception("ingest.failed")
            raise StoreUnavailableError(f"{type(error).__name__}: {error}") from error
        finally:
            self._waiting -= 1

    async def _commit(self, events: Sequence[NewEvent]) -> Sequence[Enqueued]:
        results = await self._store.insert(events)
        self._notify([result.event_id for result in results if result.is_due])
        return results


@asynccontextmanager
async def open_ingest(settings: Settings, pool: Pool) -> AsyncIterator[Ingest]:
    """The door for a program of its own; without Redis the workers find its events by their sweep."""
    url = settings.redis_url.get_secret_value()
    if not url:
        yield Ingest(EventStore(pool), lambda _ids: None)
        return
    wakeups = Wakeups(open_queue(url))
    await wakeups.start()
    try:
        yield Ingest(EventStore(pool), wakeups.notify)
    finally:
        await wakeups.stop()
