"""An invoice was cancelled, deleted or restored in Invoice Ninja: the Taiga items that it bills are looked at again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from handlers.event import NewEvent, own_event
from handlers.invoices.events import TASK_INVOICED
from handlers.ports.context import Context
from mappings.invoiceninja.models import Invoice
from mappings.invoices.models import TimeLink

_DAY = timedelta(days=1)


async def look_at_items_of(invoices: Sequence[Invoice], context: Context) -> int:
    """Let every item of these invoices be looked at again; returns how many. Each change of an invoice counts once."""
    world = context.invoicing
    if world is None or context.taiga is None:
        return 0
    links = await world.plans.time_links(sorted({task_id for invoice in invoices for task_id in invoice.task_ids}))
    events = [
        _look_again(invoice, task_id, links[task_id])
        for invoice in invoices
        for task_id in invoice.task_ids
        if task_id in links and links[task_id].stored_log
    ]
    if events:
        await world.events.enqueue(events)
    return len(events)


def _look_again(invoice: Invoice, task_id: str, link: TimeLink) -> NewEvent:
    """Dated before the work: the newest event of a Taiga item must stay the one that tells its state."""
    return own_event(
        TASK_INVOICED,
        key=f"standing:{invoice.id}:{invoice.updated_at}:{task_id}",
        subject=link.subject,
        occurred_at=datetime.fromtimestamp(link.stored_log[0][0], UTC) - _DAY,
        payload={"invoice_id": invoice.id, "invoice_number": invoice.number, "task_number": ""},
    )
