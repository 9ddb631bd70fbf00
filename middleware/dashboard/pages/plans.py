"""A plan of invoices: review the lines, apply it, and see how far it is."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import Response

from handlers.invoices.events import Due, due_event
from handlers.ports.invoice_world import Planned
from mappings.invoices.models import InvoicePlan
from mappings.values.hours import seconds_to_hours
from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.visit import RefusedError, Visit, go_to
from middleware.invoicing.remaining import Key, by_the_books, key_of, still_to_make
from middleware.store.billing.books import reading_of
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.plans import PlanStore
from middleware.store.billing.reports import DueRow, Reports
from middleware.store.clock import StoreClock
from middleware.store.operations.audit import AuditEntry, AuditStore

WORKING = ("received", "processing", "retrying")
SEND: Mapping[str, bool | None] = {"": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Row:
    """An invoice of a plan as it stands. `was_deleted`: it was made, and the books say that it was deleted since.

    `is_made`: nothing is left to make of it, as far as is known here; `order` is the newest one for its client.
    """

    planned: Planned
    is_made: bool
    was_deleted: bool
    order: DueRow | None

    @property
    def is_at_work(self) -> bool:
        """Whether somebody is making it."""
        return not self.is_made and self.order is not None and self.order.status in WORKING

    @property
    def is_waiting(self) -> bool:
        """Whether a person may order it: it is not made, and nobody is making it."""
        return not self.is_made and not self.is_at_work


async def show(visit: Visit) -> Response:
    """The plan with every line, what is left out, and what was made of it."""
    plan, rows = await _plan(visit)
    return visit.page(
        "plan.html",
        plan=plan,
        rows=rows,
        made=sum(1 for row in rows if row.is_made),
        waiting=[row for row in rows if row.is_waiting],
        is_working=any(row.order is not None and row.order.status in WORKING for row in rows),
        reading=await reading_of(visit.services.pool),
        hours=seconds_to_hours(sum(row.planned.invoice.seconds for row in rows)),
        as_hours=seconds_to_hours,
        is_running=visit.now.timestamp() < plan.period.ends_at,
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


async def apply(visit: Visit) -> Response:
    """Order the invoices of the plan: exactly those, or none where the work has changed since."""
    fields = await visit.form()
    plan, rows = await _plan(visit)
    if (await StoreClock(visit.services.pool).read()).timestamp() < plan.period.starts_at:
        raise RefusedError(409, f"{plan.period.name} has not begun: its invoices cannot be made yet.")
    send = fields.get("send", "")
    if send not in SEND:
        raise RefusedError(422, "Choose whether the invoices are sent.")
    pool = visit.services.pool
    waiting = {row.planned.invoice.client_id for row in rows if row.is_waiting}
    chosen = sorted(waiting & {fields["client"]} if fields.get("client") else waiting)
    if not chosen:
        raise RefusedError(409, "Nothing in this plan is left to approve: open the plan again.")
    orders = [Due(plan.id, client_id, plan.period, is_strict=True, send=SEND[send]) for client_id in chosen]
    cause = f"dashboard-{visit.now.isoformat()}"
    stored = await visit.services.sink.enqueue([due_event(order, cause, visit.now) for order in orders])
    ids = [one.event_id for one in stored]
    summary = f"approved plan {plan.id} for {plan.period.name}: {len(chosen)} clients"
    await AuditStore(pool).record(AuditEntry(visit.session.name, "plan.applied", summary, {"clients": chosen}, ids))
    if set(chosen) == waiting:
        await PlanStore(pool).close_plan_reviews(plan.id, f"applied by {visit.session.name}")
    return go_to(f"/invoices/plans/{plan.id}", said=f"applied-{len(chosen)}")


def rows_of(planned: Sequence[Planned], deleted: Mapping[Key, bool], dues: Mapping[str, DueRow]) -> list[Row]:
    """How the invoices of a plan stand; `deleted` is `BookStore.deleted_of_plan`, `dues` are the orders by client."""
    waiting = still_to_make(planned, by_the_books({key for key, is_free in deleted.items() if is_free}))
    return [
        Row(one, one not in waiting, key_of(one.invoice) in deleted, dues.get(one.invoice.client_id)) for one in planned
    ]


async def _plan(visit: Visit) -> tuple[InvoicePlan, Sequence[Row]]:
    plan_id, pool = visit.request.path_params["plan_id"], visit.services.pool
    store = PlanStore(pool)
    plan, planned, deleted = await asyncio.gather(
        store.find(plan_id), store.planned(plan_id), BookStore(pool).deleted_of_plan(plan_id)
    )
    if plan is None:
        raise RefusedError(404, f"There is no plan {plan_id}.")
    dues = await Reports(pool).dues(plan_id, sorted({one.invoice.client_id for one in planned}))
    return plan, rows_of(planned, deleted, dues)
