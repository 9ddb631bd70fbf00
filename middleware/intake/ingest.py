"""The single door into the store: receiver, cron, replay, reconcile and the command line all enter here.

An event is accepted when its row is committed, never before. Requests that arrive while a commit is under way share the
next one: each still waits for its own row to be durable.
"""

from collections.abc import Sequence

import structlog

from middleware.pipeline.wakeups import Wakeups
from middleware.store.batching import Together
from middleware.store.database import StoreUnavailableError
from middleware.store.events.events import EventStore, NewEvent, Stored

log = structlog.get_logger()

ROWS_PER_COMMIT = 256
# More than this waiting for a commit means that PostgreSQL is as good as away. The bytes of their bodies are bounded by
# the connections (`middleware.web.body_budget`).
MAX_WAITING = 5_000


class Ingest:
    """Stores events and tells the workers."""

    def __init__(self, store: EventStore, wakeups: Wakeups) -> None:
        self._store = store
        self._wakeups = wakeups
        self._commits = Together(self._commit, ROWS_PER_COMMIT)
        self._waiting = 0

    async def accept(self, event: NewEvent) -> Stored:
        """Commit one event and return what became of it.

        Raises:
            StoreUnavailableError: it is not known to be stored; the sender must be told to try again.
        """
        if self._waiting >= MAX_WAITING:
            raise StoreUnavailableError(f"{self._waiting} requests wait for PostgreSQL already")
        self._waiting += 1
        try:
            return await self._commits.ask(event)
        except StoreUnavailableError:
            raise
        except Exception as error:
            # A mistake of ours: the sender is told to try again, the log says why.
            log.exception("ingest.failed")
            raise StoreUnavailableError(f"{type(error).__name__}: {error}") from error
        finally:
            self._waiting -= 1

    async def _commit(self, events: Sequence[NewEvent]) -> Sequence[Stored]:
        results = await self._store.store(events)
        self._wakeups.notify([result.event_id for result in results if result.is_due])
        return results
