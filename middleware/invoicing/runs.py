"""Runs that a person asks for: planned at once, put into the store as events, and worked off by this very process.

The events are those of the schedule, so a run that is cut off is finished by a worker, and shown like any other.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from handlers.invoices.events import Due, due_event
from handlers.invoices.plan import world_of
from handlers.invoices.unbilled import read_work
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld
from mappings.invoices.difference import changes, difference
from mappings.invoices.models import InvoicePlan
from mappings.invoices.period import Period
from mappings.invoices.plan import plan
from middleware.bootstrap import open_context
from middleware.invoicing.follow import Follower
from middleware.invoicing.remaining import by_the_work, key_of, still_to_make
from middleware.mapping.load import load_mapping
from middleware.settings import Settings
from middleware.store.billing.plans import PlanStore
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

_SECONDS_FOR_WORKERS = 15
"""How long a plan waits for changes in Taiga that are being recorded; without a worker they stay left out."""


class UnknownClientError(Exception):
    """Invoice Ninja has no single client of this id, number or id number."""


class FuturePeriodError(Exception):
    """Invoices of a period that has not begun are asked for."""


class UnknownPlanError(Exception):
    """No plan of this id is stored."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a stored plan: `rest` is not made yet, `made` are the numbers of the other invoices.

    `changed` says in sentences what would be made otherwise by now; what is made already does not count.
    """

    rest: InvoicePlan
    made: tuple[str, ...]
    changed: tuple[str, ...]


class Runs:
    """Plans and their application, for the command line."""

    def __init__(self, settings: Settings, context: Context, pool: Pool) -> None:
        self._context = context
        self._pool = pool
        self.follower = Follower(settings, context, pool)

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
            UnknownPlanError: there is no such plan.
        """
        found = await self._world.plans.find(plan_id)
        if found is None:
            raise UnknownPlanError(plan_id)
        return found

    async def keep(self, made: InvoicePlan) -> None:
        """Store a plan, so that it can be applied as it is."""
        await self._world.plans.save(made)

    async def standing(self, kept: InvoicePlan, client: str = "") -> Standing:
        """What is left of a stored plan by now; of one client when given.

        Raises:
            UnknownClientError: there is no such client.
            RemoteError: Invoice Ninja failed.
        """
        client_id = await self.client_id(client) if client else ""
        rows = [row for row in await self._world.plans.planned(kept.id) if client_id in {"", row.invoice.client_id}]
        clients = {row.invoice.client_id for row in rows}
        fresh = await self._planned_now(kept.period, clients)
        present = {key_of(invoice): invoice for invoice in fresh.invoices}
        waiting = still_to_make(rows, by_the_work(present))
        made = [row for row in rows if row not in waiting]
        rest = replace(kept, invoices=tuple(row.invoice for row in waiting))
        if made or client_id:
            changed = [sentence for one in rest.invoices for sentence in changes(one, present.get(key_of(one)))]
        else:
            changed = difference(kept, fresh)
        return Standing(rest, tuple(row.invoice_number for row in made), tuple(changed))

    async def apply(
        self, made: InvoicePlan, clients: Collection[str], *, is_strict: bool, send: bool | None
    ) -> dict[int, str]:
        """Put one event for each client into the store; returns event ids with their clients.

        What waited for a person to decide on all that is applied now waits no longer.

        Raises:
            FuturePeriodError: the period has not begun.
        """
        now = self._context.clock()
        if now.timestamp() < made.period.starts_at:
            raise FuturePeriodError(f"{made.period.name} has not begun: its invoices cannot be made yet")
        ordered = sorted(set(clients))
        cause = f"command-{now.isoformat()}"
        dues = [Due(made.id, client_id, made.period, is_strict, send) for client_id in ordered]
        stored = await self._world.events.enqueue([due_event(due, cause, now) for due in dues])
        is_whole = {invoice.client_id for invoice in made.invoices} <= set(ordered)
        await PlanStore(self._pool).close_plan_reviews(made.id if is_whole else "", "applied by a person", ordered)
        return dict(zip([one.event_id for one in stored], ordered, strict=True))

    async def _planned_now(self, period: Period, clients: Collection[str] | None) -> InvoicePlan:
        # With rules of clients all clients are read: a rule whose client is gone may be meant for this one.
        is_one = clients is not None and len(clients) == 1 and not self._context.mapping.client_rules
        one = next(iter(clients)) if clients is not None and is_one else ""
        work = await read_work(self._world, period, one)
        for _second in range(_SECONDS_FOR_WORKERS):
            if not any(event.is_in_hand for event in work.unresolved):
                break
            await asyncio.sleep(1)
            work = await read_work(self._world, period, one)
        return plan(work, self._context.mapping, only=clients)


@asynccontextmanager
async def open_runs(settings: Settings, pool: Pool, traffic: Traffic | None = None) -> AsyncIterator[Runs]:
    """The runs for these settings; with `traffic`, their requests keep to the ways of these.

    Raises:
        SettingsError: settings or the mapping file are missing.
        MappingErrors: the mapping file has mistakes.
    """
    async with open_context(settings, load_mapping(settings.mappings_file), pool, traffic) as context:
        yield Runs(settings, context, pool)
