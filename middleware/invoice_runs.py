"""Runs that a person asks for: planned at once, put into the store as events, and worked off by this very process.

The events are those of the schedule, so a run that is cut off is finished by a worker, and shown like any other. A
worker that runs meanwhile may take some of them: the locks are the same.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from handlers.context import Context
from handlers.event import Work
from handlers.invoice_events import SUBJECT_PREFIXES, Due, due_event
from handlers.invoice_reading import read_work
from handlers.invoice_world import InvoiceWorld, Planned
from handlers.outcome import Outcome
from handlers.plan_invoices import world_of
from handlers.registry import dispatch
from mappings.invoicing.difference import changes, difference
from mappings.invoicing.period import Period
from mappings.invoicing.plan import plan
from mappings.invoicing.records import InvoicePlan
from middleware.bootstrap import RemoteObserver, load_mapping, open_context
from middleware.outage import Outages
from middleware.processor import Limits, Processor
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events import FINISHED, EventRow, EventStore
from middleware.store.plans import PlanStore
from middleware.store.workers import WorkerStore

_CLIENTS_AT_ONCE = 4
_LOOK_SECONDS = 0.1
_SECONDS_FOR_WORKERS = 15
"""How long a plan waits for changes in Taiga that are being recorded; without a worker they stay left out."""
_PATIENCE = timedelta(seconds=45)
"""How long a try that comes later is waited for; what takes longer is left to the workers."""


class UnknownClientError(Exception):
    """Invoice Ninja has no single client of this id, number or id number."""


class UnknownPlanError(Exception):
    """No plan of this id is stored."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the invoices of one client ended. `is_done` False: it failed, or is tried again by a worker."""

    event_id: int
    client_id: str
    client_name: str
    status: str
    reason: str
    hint: str

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in {"processed", "ignored"}


class Runs:
    """Plans and their application, for the command line."""

    def __init__(self, settings: Settings, context: Context, pool: Pool) -> None:
        self._settings = settings
        self._context = context
        self._pool = pool

    @property
    def timezone(self) -> str:
        """The general time zone of mappings.json, in which months are meant."""
        return self._context.mapping.billing_rules.timezone

    @property
    def _world(self) -> InvoiceWorld:
        return world_of(self._context)

    async def fresh(self, period: Period, client: str = "") -> InvoicePlan:
        """What would be made by now; of a client by its id, number or id number, when given.

        Raises:
            UnknownClientError: there is no such client.
            RemoteError: Invoice Ninja failed.
        """
        return await self._planned_now(period, {await self.client_id(client)} if client else None)

    async def client_id(self, client: str) -> str:
        """The id for what a person typed.

        Raises:
            UnknownClientError: there is no such client.
        """
        found = await self._context.ninja.find_client(client)
        if found is None:
            raise UnknownClientError(client)
        return found

    async def stored(self, plan_id: str) -> InvoicePlan:
        """A plan that was made before.

        Raises:
            UnknownPlanError: there is none.
        """
        found = await self._world.plans.find(plan_id)
        if found is None:
            raise UnknownPlanError(plan_id)
        return found

    async def keep(self, made: InvoicePlan) -> None:
        """Store a plan, so that it can be applied as it is."""
        await self._world.plans.save(made)

    async def changes_since(self, kept: InvoicePlan, client: str = "") -> list[str]:
        """What would be made otherwise than a stored plan says, in sentences; what is made already does not count."""
        rows = await self._world.plans.planned(kept.id)
        waiting = [row for row in rows if not row.invoice_id]
        client_id = await self.client_id(client) if client else ""
        clients = {row.invoice.client_id for row in rows if client_id in {"", row.invoice.client_id}}
        fresh = await self._planned_now(kept.period, clients)
        if not any(row.invoice_id for row in rows) and not client:
            return difference(kept, fresh)
        return _still_waiting(waiting, fresh, clients)

    async def apply(
        self, made: InvoicePlan, clients: Collection[str], *, is_strict: bool, send: bool | None
    ) -> dict[int, str]:
        """Put one event for each client into the store; returns event ids with their clients."""
        now = datetime.now(UTC)
        ordered = sorted(set(clients))
        cause = f"command-{now.isoformat()}"
        dues = [Due(made.id, client_id, made.period, is_strict, send) for client_id in ordered]
        ids = await self._world.events.put([due_event(due, cause, now) for due in dues])
        await PlanStore(self._pool).close_plan_reviews(made.id, "applied by a person")
        return dict(zip(ids, ordered, strict=True))

    async def follow(
        self, events: dict[int, str], names: dict[str, str], report: Callable[[Ended], None]
    ) -> list[Ended]:
        """Work the events off, beside whatever workers there are; `report` is told of each that ends."""
        store, done = EventStore(self._pool), dict[int, Ended]()
        async with self._processor() as running:
            while len(done) < len(events):
                if running.done():
                    # It works until it is stopped: an end is an error, and nobody would work on.
                    running.result()
                rows = [row for event_id in events.keys() - done.keys() if (row := await store.find(event_id))]
                for row in sorted(rows, key=lambda one: one.id):
                    if row.status in FINISHED or _is_for_later(row):
                        client_id = events[row.id]
                        ended = Ended(row.id, client_id, names.get(client_id, ""), row.status, row.reason, row.hint)
                        done[row.id] = ended
                        report(ended)
                await asyncio.sleep(_LOOK_SECONDS)
            await self._until_sent(store)
        return [done[event_id] for event_id in sorted(done)]

    async def _until_sent(self, store: EventStore) -> None:
        """Mails follow the invoices: give them a moment."""
        until = asyncio.get_running_loop().time() + _PATIENCE.total_seconds()
        while asyncio.get_running_loop().time() < until:
            rows = await store.list(subject="invoices:send", limit=200)
            if all(row.status in FINISHED for row in rows):
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def _planned_now(self, period: Period, clients: Collection[str] | None) -> InvoicePlan:
        one = next(iter(clients)) if clients is not None and len(clients) == 1 else ""
        work = await read_work(self._world, period, one)
        for _second in range(_SECONDS_FOR_WORKERS):
            if not any(event.is_in_hand for event in work.unresolved):
                break
            await asyncio.sleep(1)
            work = await read_work(self._world, period, one)
        return plan(work, self._context.mapping, only=clients)

    @asynccontextmanager
    async def _processor(self) -> AsyncIterator["asyncio.Task[None]"]:
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
        finally:
            await processor.stop(self._settings.shutdown_seconds)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


@asynccontextmanager
async def open_runs(settings: Settings, pool: Pool, outages: Outages | None = None) -> AsyncIterator[Runs]:
    """The runs for these settings; with `outages`, their requests keep to the ways of these.

    Raises:
        SettingsError: settings or the mapping file are missing.
        MappingErrors: the mapping file has mistakes.
    """
    async with open_context(settings, load_mapping(settings.mappings_file), pool, outages) as context:
        yield Runs(settings, context, pool)


def _is_for_later(row: EventRow) -> bool:
    return row.status == "retrying" and row.next_attempt_at - datetime.now(UTC) > _PATIENCE


def _still_waiting(waiting: Sequence[Planned], fresh: InvoicePlan, clients: Collection[str]) -> list[str]:
    present = {(invoice.client_id, invoice.scope): invoice for invoice in fresh.invoices}
    planned = [row.invoice for row in waiting if row.invoice.client_id in clients]
    return [
        sentence
        for invoice in planned
        for sentence in changes(invoice, present.get((invoice.client_id, invoice.scope)))
    ]
