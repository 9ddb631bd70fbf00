"""Working off the invoices that a person asked for, and telling how each ends.

A worker that runs meanwhile may take some of them: the locks are the same.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from handlers.event import Work
from handlers.invoices.events import SEND_SUBJECT, SUBJECT_PREFIXES
from handlers.outcome import Outcome
from handlers.ports.context import Context
from handlers.registry import dispatch
from middleware.bootstrap import RemoteObserver
from middleware.invoicing.follow_state import Ended, Patience, Watch
from middleware.pipeline.processor import Limits, Processor
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events.events import FINISHED
from middleware.store.events.progress import AwaitedEvents
from middleware.store.operations.workers import WorkerStore
from middleware.web.health import STALE_HEARTBEAT_SECONDS

_CLIENTS_AT_ONCE = 4
_LOOK_SECONDS = 0.1
_SECONDS_FOR_MAILS = 45
_SECONDS_BESIDE_TRIES = 60
"""What may pass beside the longest try without anything moving: the wait for the next one."""


@dataclass(frozen=True, slots=True)
class Followed:
    """How the invoices of each client ended, and the e-mails that followed."""

    clients: tuple[Ended, ...]
    mails: tuple[Ended, ...]


class Follower:
    """Works off events about invoices until they end, and no longer than is sensible."""

    def __init__(self, settings: Settings, context: Context, pool: Pool) -> None:
        self._settings = settings
        self._context = context
        self._pool = pool
        self._events = AwaitedEvents(pool)

    async def follow(
        self,
        events: Mapping[int, str],
        names: Mapping[str, str],
        report: Callable[[Ended], None],
        note: Callable[[str], None],
    ) -> Followed:
        """Work the events off, beside whatever workers there are.

        Args:
            events: their ids with the ids of their clients.
            names: the names of the clients.
            report: is told of each that ends.
            note: is told what is waited for when none does.
        """
        clock = asyncio.get_running_loop().time
        patience = Patience(quiet=self._settings.attempt_timeout + _SECONDS_BESIDE_TRIES)
        watch, done = Watch(events, names, patience, clock()), list[Ended]()
        async with self._working(note) as running:
            while watch.waiting:
                if running.done():
                    # It works until it is stopped: an end is an error, and nobody would work on.
                    running.result()
                for one in watch.look(await self._events.look(watch.waiting), clock()):
                    done.append(one if one.is_over else replace(one, hint=await self._who_goes_on(one)))
                    report(done[-1])
                if words := watch.notice(clock()):
                    note(words)
                await asyncio.sleep(_LOOK_SECONDS)
            mails = await self._mails(min(events, default=0))
        return Followed(tuple(sorted(done, key=lambda one: one.event_id)), mails)

    async def _mails(self, since: int) -> tuple[Ended, ...]:
        """The e-mails that follow the invoices: they get a moment."""
        clock = asyncio.get_running_loop().time
        until = clock() + _SECONDS_FOR_MAILS
        rows = await self._events.after(since, SEND_SUBJECT)
        while clock() < until and not all(row.status in FINISHED for row in rows):
            await asyncio.sleep(_LOOK_SECONDS)
            rows = await self._events.after(since, SEND_SUBJECT)
        # Those that went together tell the same.
        told = {(row.status, row.reason): row for row in rows}.values()
        ended = [Ended(row.id, "", "", row.status, row.reason, row.hint) for row in told]
        return tuple([one if one.is_over else replace(one, hint=await self._who_goes_on(one)) for one in ended])

    async def _who_goes_on(self, left: Ended) -> str:
        """The hint for an event that is left alone, unhurt."""
        beat = await WorkerStore(self._pool).seconds_since_beat()
        if beat is None or beat > STALE_HEARTBEAT_SECONDS:
            who = "no worker runs: start one with `taiga-billing up`, or generate once more"
        else:
            who = "the workers go on with it"
        own = f"{left.hint}; " if left.hint else ""
        return f"{own}{who}; `taiga-billing events show {left.event_id}` tells how it stands"

    @asynccontextmanager
    async def _working(self, note: Callable[[str], None]) -> AsyncIterator["asyncio.Task[None]"]:
        async def settle(work: Work) -> Outcome:
            return await dispatch(work, self._context)

        limits = Limits(
            concurrency=_CLIENTS_AT_ONCE,
            attempt_timeout=self._settings.attempt_timeout,
            sweep_seconds=min(self._settings.sweep_seconds, 1.0),
            keep_trying=timedelta(hours=self._settings.retry_hours),
        )
        url = self._settings.database_url.get_secret_value()
        processor = Processor(url, settle, RemoteObserver(WorkerStore(self._pool)), limits, only=SUBJECT_PREFIXES)
        running = asyncio.create_task(processor.run())
        try:
            yield running
        except asyncio.CancelledError:
            note(f"stopping: what is in hand gets {self._settings.shutdown_seconds:.0f} s to end")
            raise
        finally:
            await processor.stop(self._settings.shutdown_seconds)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
