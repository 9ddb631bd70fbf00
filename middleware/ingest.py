"""The single door into the store: receiver, cron, replay, reconcile and the command line all enter here.

An event is accepted when its row is committed, never before. Requests that arrive while a commit is under way share the
next one: each still waits for its own row to be durable.
"""

import asyncio

from middleware.queue import Wakeups
from middleware.store.database import StoreUnavailableError
from middleware.store.events import EventStore, NewEvent, Stored

ROWS_PER_COMMIT = 256
# More than this many requests waiting for a commit means that PostgreSQL is as good as away.
MAX_WAITING = 5_000


class Ingest:
    """Stores events and tells the workers."""

    def __init__(self, store: EventStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._waiting: list[tuple[NewEvent, asyncio.Future[Stored]]] = []
        self._committer: asyncio.Task[None] | None = None

    async def accept(self, event: NewEvent) -> Stored:
        """Commit one event and return what became of it.

        Raises:
            StoreUnavailableError: it is not known to be stored; the sender must be told to try again.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise StoreUnavailableError(f"{MAX_WAITING} requests wait for PostgreSQL already")
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, stored))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting(), name="ingest")
        return await stored

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:ROWS_PER_COMMIT], self._waiting[ROWS_PER_COMMIT:]
            try:
                results = await self._store.store([event for event, _ in batch])
            except StoreUnavailableError as error:
                self._refuse(batch, error)
                continue
            self._wakeups.notify([result.event_id for result in results if result.is_due])
            for (_, waiter), result in zip(batch, results, strict=True):
                if not waiter.done():
                    waiter.set_result(result)

    @staticmethod
    def _refuse(batch: list[tuple[NewEvent, asyncio.Future[Stored]]], error: StoreUnavailableError) -> None:
        for _, waiter in batch:
            if not waiter.done():
                waiter.set_exception(StoreUnavailableError(str(error)))
