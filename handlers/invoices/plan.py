"""A period is over: its invoices are planned, then made, or shown to a person first (docs/invoicing.md)."""

from handlers.errors import NeedsPerson
from handlers.event import Event, Work
from handlers.invoices.events import Due, due_event
from handlers.invoices.unbilled import read_work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld
from mappings.codes import Code
from mappings.invoices.calendars import calendar_name, calendars_of
from mappings.invoices.models import InvoicePlan, PeriodWork
from mappings.invoices.period import Period
from mappings.invoices.plan import plan
from mappings.invoices.plan_json import period_from_json
from mappings.invoices.scopes import scopes_of
from mappings.values.hours import seconds_to_hours
from mappings.values.words import counted

REVIEW = "invoice_plan"


async def plan_invoices(work: Work, context: Context) -> Outcome:
    """Plan the newest of the runs that are due: it bills what the ones before it would have.

    Clients with `approval: automatic` get an `invoice.due` event each; the others wait in a review.

    Raises:
        RemoteError: Invoice Ninja failed.
        NeedsPerson: the period has not ended. When it has, its run begins anyway.
    """
    world = world_of(context)
    event = max(work.due, key=lambda one: (_period(one).ends_at, one.id))
    period, calendar = _period(event), str(event.payload["calendar"])
    _refuse_unless_over(period, context)
    read = await read_work(world, period)
    made = plan(read, context.mapping, only=_clients_of(calendar, read, context))
    if not made.invoices:
        await context.reviews.close(work.subject, REVIEW, "nothing is unbilled any more")
        return Ignored(Code.NOTHING_TO_BILL, f"nothing to bill for {period.name} ({len(made.left_out)} left out)")
    await world.plans.save(made)
    automatic = sorted({invoice.client_id for invoice in made.invoices if invoice.approval == "automatic"})
    waiting = sorted({invoice.client_id for invoice in made.invoices} - set(automatic))
    now = context.clock()
    dues = [Due(made.id, client_id, period, is_strict=False) for client_id in automatic]
    await world.events.enqueue([due_event(due, f"run-{event.id}", now) for due in dues])
    await _ask(work.subject, made, waiting, context)
    return Processed(Code.INVOICES_PLANNED, _told(made, len(automatic), len(waiting)))


def world_of(context: Context) -> InvoiceWorld:
    """The means to make invoices.

    Raises:
        NeedsPerson: there are none.
    """
    if context.invoicing is None:
        raise NeedsPerson(
            Code.INVOICING_NOT_CONFIGURED,
            "invoices cannot be made here",
            "configure Invoice Ninja, then replay this event",
        )
    return context.invoicing


def _refuse_unless_over(period: Period, context: Context) -> None:
    if context.clock().timestamp() < period.ends_at:
        raise NeedsPerson(
            Code.PERIOD_NOT_OVER,
            f"{period.name} has not ended: nothing was planned",
            "a clock was wrong when this run began; set it, and the run begins again when the period is over",
        )


def _period(event: Event) -> Period:
    return period_from_json(event.payload["period"])


def _clients_of(calendar: str, work: PeriodWork, context: Context) -> set[str]:
    scopes, known = scopes_of(context.mapping, work.clients), calendars_of(context.mapping)
    return {client_id for client_id in work.clients if calendar_name(client_id, scopes, known) == calendar}


async def _ask(subject: str, made: InvoicePlan, waiting: list[str], context: Context) -> None:
    if not waiting:
        await context.reviews.close(subject, REVIEW, "a newer run is applied automatically")
        return
    summary = (
        f"invoices of {counted(len(waiting), 'client')} for {made.period.name} wait for you:"
        f" see `taiga-billing invoices plan --plan {made.id}`, then `taiga-billing invoices generate --plan {made.id}`"
    )
    details = {"plan_id": made.id, "period": made.period.name, "clients": waiting}
    await context.reviews.open(subject, REVIEW, summary, details)


def _told(made: InvoicePlan, automatic: int, waiting: int) -> str:
    hours = seconds_to_hours(sum(invoice.seconds for invoice in made.invoices))
    parts = [f"plan {made.id} for {made.period.name}: {counted(len(made.invoices), 'invoice')}, {hours} h"]
    parts += [f"billed now: {counted(automatic, 'client')}"] if automatic else []
    parts += [f"waiting for a review: {counted(waiting, 'client')}"] if waiting else []
    parts += [f"{len(made.left_out)} left out"] if made.left_out else []
    return "; ".join(parts)
