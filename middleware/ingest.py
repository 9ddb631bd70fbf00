"""The single door into the store: receiver, cron, replay, reconcile and the command line all enter here.

An event is accepted when its row is committed, never before. Requests that arrive while a commit is under way share the
next one: each still waits for its own row to be durable.
"""

import asyncio

import structlog

from middleware.queue import Wakeups
from middleware.store.database import StoreUnavailableError
from middleware.store.events import EventStore, NewEvent, Stored

log = structlog.get_logger()

ROWS_PER_COMMIT = 256
# More than this waiting for a commit means that PostgreSQL is as good as away; bodies are kept in memory meanwhile.
MAX_WAITING = 5_000
MAX_WAITING_BYTES = 64 * 1024 * 1024


class Ingest:
    """Stores events and tells the workers."""

    def __init__(self, store: EventStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._waiting: list[tuple[NewEvent, asyncio.Future[Stored]]] = []
        self._bytes = 0
        self._committer: asyncio.Task[None] | None = None

    async def accept(self, event: NewEvent) -> Stored:
        """Commit one event and return what became of it.

        Raises:
            StoreUnavailableError: it is not known to be stored; the sender must be told to try again.
        """
        if len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES:
            raise StoreUnavailableError(f"{len(self._waiting)} requests wait for PostgreSQL already")
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((event, stored))
        self._bytes += len(event.body)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting(), name="ingest")
        return await stored

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:ROWS_PER_COMMIT], self._waiting[ROWS_PER_COMMIT:]
            try:
                await self._commit(batch)
            except StoreUnavailableError as error:
                self._refuse(batch, error)
            except Exception as error:
                # A mistake of ours: nobody may wait for this commit for ever.
                log.exception("ingest.failed")
                self._refuse(batch, error)
            except BaseException as error:
                self._refuse([*batch, *self._waiting], error)
                raise
            self._bytes -= sum(len(event.body) for event, _ in batch)

    async def _commit(self, batch: list[tuple[NewEvent, asyncio.Future[Stored]]]) -> None:
        results = await self._store.store([event for event, _ in batch])
        self._wakeups.notify([result.event_id for result in results if result.is_due])
        for (_, waiter), result in zip(batch, results, strict=True):
            if not waiter.done():
                waiter.set_result(result)

    @staticmethod
    def _refuse(batch: list[tuple[NewEvent, asyncio.Future[Stored]]], error: BaseException) -> None:
        for _, waiter in batch:
            if not waiter.done():
                waiter.set_exception(StoreUnavailableError(f"{type(error).__name__}: {error}"))
