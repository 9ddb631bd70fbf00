"""After an invoice is made and checked: what is stored, what is reported, and what needs a person."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from handlers.event import NewEvent, own_event
from handlers.invoices.events import SEND, SEND_SUBJECT, TASK_INVOICED
from handlers.invoices.intents import InvoiceIntent
from handlers.invoices.verify import Checked
from handlers.ports.context import Context
from handlers.ports.invoice_world import Invoiced, InvoiceWorld, client_subject
from mappings.invoiceninja.models import Invoice
from mappings.invoices.models import Entry
from mappings.invoices.totals import rounded
from mappings.values.hours import seconds_to_hours

FLAGGED = "invoice_flagged"
_DAY = timedelta(days=1)


async def conclude(
    intent: InvoiceIntent, checked: Checked, invoice: Invoice, world: InvoiceWorld, context: Context
) -> str:
    """Do what follows from a made invoice; each step may be done again. Returns what to tell about it."""
    planned, subject = checked.planned, f"{client_subject(invoice.client_id)}:{invoice.id}"
    note = "; ".join((*checked.notes, *checked.flags))
    await world.plans.remember_invoiced([_invoiced(entry, intent, invoice) for entry in planned.entries])
    await look_at_items(intent, invoice, world, context)
    if checked.flags:
        summary = (
            f"invoice {invoice.name} of {planned.client_name} differs from what was meant: {'; '.join(checked.flags)}"
        )
        await context.reviews.open(subject, FLAGGED, summary, {"invoice_id": invoice.id, "number": invoice.number})
    else:
        await context.reviews.close(subject, FLAGGED, "it is correct")
        send = planned.terms.auto_send if intent.due.send is None else intent.due.send
        await world.events.enqueue([_send(invoice, context.clock())] if send else [])
    await world.plans.made(intent.due.plan_id, intent.planned, invoice, note)
    hours = seconds_to_hours(planned.seconds)
    told = f"invoice {invoice.name}: {rounded(invoice.amount, planned.precision)} {planned.currency} for {hours} h"
    return f"{told} ({note})" if note else told


async def look_at_items(intent: InvoiceIntent, invoice: Invoice, world: InvoiceWorld, context: Context) -> None:
    """Let every Taiga item of the invoice be looked at again, also those whose time was taken out of it.

    As long as it named them they were taken for billed, so that a change in Taiga may have changed nothing.
    """
    if context.taiga is not None:
        await world.events.enqueue(
            [_task_invoiced(entry, invoice) for entry in intent.planned.entries if entry.subject]
        )


def _invoiced(entry: Entry, intent: InvoiceIntent, invoice: Invoice) -> Invoiced:
    state: Mapping[str, Any] = {
        "invoice_number": invoice.number,
        "client_id": invoice.client_id,
        "hours": str(seconds_to_hours(entry.seconds)),
        "rate": str(entry.rate),
        "period": intent.due.period.name,
        "task_id": entry.task_id,
    }
    return Invoiced(entry.subject or f"invoiceninja:task:{entry.task_id}", entry.number, invoice.id, state)


def _task_invoiced(entry: Entry, invoice: Invoice) -> NewEvent:
    """Lets `record_time` write the status back.

    It is dated before the work: the newest event of a Taiga item must stay the one that tells its state.
    """
    return own_event(
        TASK_INVOICED,
        key=f"invoiced:{invoice.id}:{entry.number}",
        subject=entry.subject,
        occurred_at=datetime.combine(entry.first_day, time(0), UTC) - _DAY,
        payload={"invoice_id": invoice.id, "invoice_number": invoice.number, "task_number": entry.number},
    )


def _send(invoice: Invoice, now: datetime) -> NewEvent:
    payload = {"invoice_id": invoice.id, "number": invoice.number, "amount": str(invoice.amount)}
    return own_event(SEND, f"send:{invoice.id}", SEND_SUBJECT, now, payload)
