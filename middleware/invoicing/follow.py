"""Following the invoices that a person asked for until their events end; without a worker they are made here."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from handlers.event import Work
from handlers.invoices.events import SEND_SUBJECT, SUBJECT_PREFIXES
from handlers.outcome import Outcome
from handlers.ports.context import Context
from handlers.registry import dispatch
from middleware.bootstrap import RemoteObserver
from middleware.pipeline.processor import Limits, Processor, is_cancelled
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events.events import FINISHED, EventRow, EventStore
from middleware.store.operations.workers import WorkerStore
from middleware.web.health import STALE_HEARTBEAT_SECONDS

_CLIENTS_AT_ONCE = 4
_LOOK_SECONDS = 0.2
_MOST_MAILS = 1000


@dataclass(frozen=True, slots=True)
class OrderState:
    """The state of an order: the invoices of one client, or an e-mail (without a client)."""

    event_id: int
    client_id: str
    client_name: str
    status: str
    reason: str
    hint: str

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it any more."""
        return self.status in FINISHED

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in {"processed", "ignored"}


@dataclass(frozen=True, slots=True)
class Followed:
    """How the invoices of each client and the e-mails that followed ended."""

    clients: tuple[OrderState, ...]
    mails: tuple[OrderState, ...]


class Follower:
    """Follows events about invoices, at most for the seconds that a person wants to wait."""

    def __init__(self, settings: Settings, context: Context, pool: Pool) -> None:
        self._settings = settings
        self._context = context
        self._workers = WorkerStore(pool)
        self._events = EventStore(pool)

    async def follow(
        self,
        events: Mapping[int, str],
        names: Mapping[str, str],
        wait: float,
        report: Callable[[OrderState], None],
    ) -> Followed:
        """Follow `events` (ids with the ids of their clients) and the e-mails after them; `report` gets each end."""
        ends_at = self._context.clock() + timedelta(seconds=wait)
        reported: set[int] = set()
        async with self._drained():
            while True:
                rows = await self._events.find_all(events)
                mails = await self._mails(min(events, default=0))
                for row in rows:
                    if row.status in FINISHED and row.id not in reported:
                        reported.add(row.id)
                        report(_state(row, events[row.id], names))
                waiting = [row for row in (*rows, *mails) if row.status not in FINISHED]
                # What is tried again after the end of the waiting is not waited for.
                if self._context.clock() >= ends_at or all(_is_later(row, ends_at) for row in waiting):
                    break
                _heed_cancellation()
                await asyncio.sleep(_LOOK_SECONDS)
        _heed_cancellation()
        clients = tuple(_state(row, events[row.id], names) for row in rows)
        for left in clients:
            if not left.is_over:
                report(left)
        # E-mails that went together have the same outcome.
        distinct = {(row.status, row.reason): _state(row, "", names) for row in mails}
        return Followed(clients, tuple(distinct.values()))

    async def has_worker(self) -> bool:
        """Whether a worker has beaten within the last moments."""
        beat = await self._workers.seconds_since_beat()
        return beat is not None and beat <= STALE_HEARTBEAT_SECONDS

    async def _mails(self, since: int) -> Sequence[EventRow]:
        rows = await self._events.list(subject=SEND_SUBJECT, limit=_MOST_MAILS)
        return [row for row in reversed(rows) if row.id > since]

    @asynccontextmanager
    async def _drained(self) -> AsyncIterator[None]:
        """Work off what is due about invoices in this process, unless a worker does."""
        if await self.has_worker():
            yield
            return
        processor = self._processor()
        running = asyncio.create_task(processor.run())
        try:
            yield
        finally:
            await processor.stop(self._settings.shutdown_seconds)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    def _processor(self) -> Processor:
        async def settle(work: Work) -> Outcome:
            return await dispatch(work, self._context)

        limits = Limits(
            concurrency=_CLIENTS_AT_ONCE,
            attempt_timeout=self._settings.attempt_timeout,
            sweep_seconds=min(self._settings.sweep_seconds, 1.0),
            keep_trying=timedelta(hours=self._settings.retry_hours),
        )
        url = self._settings.database_url.get_secret_value()
        return Processor(url, settle, RemoteObserver(self._workers), limits, only=SUBJECT_PREFIXES)


def _heed_cancellation() -> None:
    """End after Ctrl+C, which came while PostgreSQL was answering: before Python 3.12 asyncpg may forget it."""
    if is_cancelled():
        raise asyncio.CancelledError


def _is_later(row: EventRow, moment: datetime) -> bool:
    return row.status == "retrying" and row.next_attempt_at > moment


def _state(row: EventRow, client_id: str, names: Mapping[str, str]) -> OrderState:
    return OrderState(row.id, client_id, names.get(client_id, ""), row.status, row.reason, row.hint)
