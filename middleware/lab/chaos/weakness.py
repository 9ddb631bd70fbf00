"""Receivers and workers with one protection switched off, to show that the count notices. For tests only.

`python -m middleware.lab.chaos.weakness NAME serve|worker`. The product has no such switches: they are cut in
from here.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta

from handlers.errors import RemoteError
from handlers.event import Enqueued, NewEvent
from handlers.ports.context import Link
from handlers.ports.events import EventSink
from handlers.time.ledger import TimeLedger
from mappings.invoiceninja.tasks import Task
from mappings.time.models import TimeEntry
from middleware.cli import main
from middleware.pipeline import processor
from middleware.store.events import claims
from middleware.store.events.events import EventStore
from middleware.store.events.rechecks import RecheckStore

SECONDS_TO_COMMIT = 0.8


def without_lookup() -> None:
    """After a lost answer nobody looks whether the entry was made."""
    look = TimeLedger._present  # noqa: SLF001 - cut out on purpose

    async def present(self: TimeLedger, link: Link) -> Task | None:
        return await look(self, link) if link.remote_id else None

    async def adopt(_self: TimeLedger, _entry: TimeEntry, _client_id: str, error: RemoteError) -> str:
        raise error

    TimeLedger._present = present  # type: ignore[method-assign]  # noqa: SLF001 - the same
    TimeLedger._adopt = adopt  # type: ignore[method-assign, assignment]  # noqa: SLF001 - the same


def without_subject_lock() -> None:
    """Every worker takes what is due, whoever works on the same subject; its own work in hand counts as nothing."""
    statement = claims.CLAIM
    for protection, nothing in (
        ("pg_try_advisory_lock(hashtextextended(subject, 0))", "true"),
        ("AND subject NOT IN (SELECT subject FROM busy)", ""),
        ("AND subject <> ALL ($1::text[])", "AND $1::text[] IS NOT NULL"),
    ):
        statement = _without(statement, protection, nothing)
    claims.CLAIM = statement
    # Nobody holds a lock any more: all work in hand would look like that of a dead worker.
    claims.RELEASE_ORPHANS = "UPDATE events SET status = status WHERE $1::text[] IS NULL RETURNING id, subject"


def _without(statement: str, protection: str, nothing: str) -> str:
    if protection not in statement:
        raise LookupError(f"the claim has no {protection!r} any more: switch it off in another way")
    return statement.replace(protection, nothing)


def without_sweep() -> None:
    """Work is done when a wake-up tells of it, and at no other time; the work of dead workers stays where it is."""

    async def release(_self: claims.Claims, _running: Sequence[str]) -> int:
        return 0

    async def listen_only(self: processor.Processor, next_sweep: float) -> float:
        await self._look.wait()
        self._look.clear()
        await self._take_due()
        return next_sweep

    claims.Claims.release_orphans = release  # type: ignore[method-assign, assignment]  # cut out on purpose
    processor.Processor._round = listen_only  # type: ignore[method-assign]  # noqa: SLF001 - cut out on purpose


def without_commit() -> None:
    """The sender is answered when the row is written but not committed; that comes soon after."""
    insert = EventStore._insert  # noqa: SLF001 - cut out on purpose
    committing: set[asyncio.Task[None]] = set()

    async def store(self: EventStore, events: Sequence[NewEvent]) -> list[Enqueued]:
        connection = await self._pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        results = await insert(EventStore(connection), events)  # type: ignore[arg-type]  # it fetches like a pool

        async def commit_later() -> None:
            await asyncio.sleep(SECONDS_TO_COMMIT)
            await transaction.commit()
            await self._pool.release(connection)

        committing.add(task := asyncio.create_task(commit_later()))
        task.add_done_callback(committing.discard)
        return results

    EventStore._insert = store  # type: ignore[method-assign]  # noqa: SLF001 - the same


def without_recheck() -> None:
    """Nobody looks again at what was asked for without an answer."""

    async def begin(_self: RecheckStore, _wait: timedelta, _sink: EventSink) -> list[int]:
        return []

    RecheckStore.begin = begin  # type: ignore[method-assign, assignment]  # cut out on purpose


WEAKNESSES: dict[str, Callable[[], None]] = {
    "no-lookup": without_lookup,
    "no-subject-lock": without_subject_lock,
    "no-sweep": without_sweep,
    "no-commit": without_commit,
    "no-second-look": without_recheck,
}

if __name__ == "__main__":
    WEAKNESSES[sys.argv[1]]()
    del sys.argv[1]
    main()
