"""A plan of invoices: review the lines, apply it, and see how far it is."""

import asyncio
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from handlers.invoice_events import Due, due_event
from handlers.invoice_world import Planned
from mappings.hours import seconds_to_hours
from mappings.invoicing.records import InvoicePlan
from middleware.dashboard.ninja_pages import NinjaPages
from middleware.dashboard.visit import RefusedError, Visit, go_to
from middleware.internal_events import StoredInternalEvents
from middleware.store.audit import AuditStore, Deed
from middleware.store.events import EventStore
from middleware.store.plans import PlanStore
from middleware.store.reports import DueRow, Reports

WORKING = ("received", "processing", "retrying")
SEND: Mapping[str, bool | None] = {"": None, "yes": True, "no": False}


async def show(visit: Visit) -> Response:
    """The plan with every line, what is left out, and what was made of it."""
    plan, planned = await _plan(visit)
    dues = await Reports(visit.services.pool).dues(plan.id, _clients(planned))
    return visit.page(
        "plan.html",
        plan=plan,
        planned=planned,
        dues=dues,
        made=sum(1 for one in planned if one.invoice_id),
        waiting=[one for one in planned if is_waiting(one, dues)],
        is_working=any(due.status in WORKING for due in dues.values()),
        hours=seconds_to_hours(sum(one.invoice.seconds for one in planned)),
        as_hours=seconds_to_hours,
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


async def apply(visit: Visit) -> Response:
    """Order the invoices of the plan: exactly those, or none where the work has changed since."""
    fields = await visit.form()
    plan, planned = await _plan(visit)
    send = fields.get("send", "")
    if send not in SEND:
        raise RefusedError(422, "Choose whether the invoices are sent.")
    pool = visit.services.pool
    dues = await Reports(pool).dues(plan.id, _clients(planned))
    waiting = {one.invoice.client_id for one in planned if is_waiting(one, dues)}
    chosen = sorted(waiting & {fields["client"]} if fields.get("client") else waiting)
    if not chosen:
        raise RefusedError(409, "Nothing of this plan waits any more: look at the plan again.")
    events = StoredInternalEvents(EventStore(pool), visit.services.wake)
    orders = [Due(plan.id, client_id, plan.period, is_strict=True, send=SEND[send]) for client_id in chosen]
    cause = f"dashboard-{visit.now.isoformat()}"
    ids = await events.put([due_event(order, cause, visit.now) for order in orders])
    summary = f"approved plan {plan.id} for {plan.period.name}: {len(chosen)} clients"
    await AuditStore(pool).record(Deed(visit.session.name, "plan.applied", summary, {"clients": chosen}, ids))
    if set(chosen) == waiting:
        await PlanStore(pool).close_plan_reviews(plan.id, f"applied by {visit.session.name}")
    return go_to(f"/invoices/plans/{plan.id}", said=f"applied-{len(chosen)}")


def is_waiting(one: Planned, dues: Mapping[str, DueRow]) -> bool:
    """Whether a person may still order it: it is not made, and nobody is making it."""
    due = dues.get(one.invoice.client_id)
    return not one.invoice_id and (due is None or due.status not in WORKING)


async def _plan(visit: Visit) -> tuple[InvoicePlan, Sequence[Planned]]:
    plan_id = visit.request.path_params["plan_id"]
    store = PlanStore(visit.services.pool)
    plan, planned = await asyncio.gather(store.find(plan_id), store.planned(plan_id))
    if plan is None:
        raise RefusedError(404, f"There is no plan {plan_id}.")
    return plan, planned


def _clients(planned: Sequence[Planned]) -> list[str]:
    return sorted({one.invoice.client_id for one in planned})
