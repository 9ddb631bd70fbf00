"""Which invoice bills an entry of ours, if any: its lines decide, not the link of the task alone.

Invoice Ninja frees a task whose invoice was deleted and restored, though the line bills it; it keeps the link to a
cancelled invoice; and a link may point to an invoice that is gone, or that does not name the task any more
(docs/facts/invoice-ninja-2.md section 4).
"""

from collections.abc import Mapping
from decimal import Decimal

from handlers.errors import NotFound
from handlers.ports.context import Link
from handlers.ports.invoice_world import BillingBooks
from handlers.time.held import Billed, Standing, has_stored_log, hours_on_line
from mappings.invoiceninja.models import NOT_OWED, Invoice
from mappings.invoiceninja.tasks import Task


async def billed_by(
    link: Link, task: Task | None, invoiced: Mapping[str, Link], books: BillingBooks | None
) -> Billed | None:
    """The invoice on which an entry stands; None when it is free.

    Args:
        link: of the entry.
        task: the entry as it is, None when Invoice Ninja has none.
        invoiced: what we remember of our own invoices, by the number of the entry.
        books: Invoice Ninja; without it, the link of the task must do.
    """
    remembered = invoiced.get(link.number)
    linked_id, task_id = (task.invoice_id, task.id) if task is not None else ("", link.remote_id)
    hours = _remembered_hours(remembered, linked_id)
    if books is None:
        return Billed(linked_id, linked_id, "live", hours) if linked_id else None
    if linked_id:
        invoice = await _invoice(linked_id, books)
        by_hand = _by_hand(link, task, invoice) if hours is None else None
        name = invoice.name if invoice is not None else linked_id
        return Billed(linked_id, name, _standing(task_id, invoice), hours if hours is not None else by_hand)
    if remembered is None:
        return None
    invoice = await _invoice(remembered.remote_id, books)
    if invoice is None or _standing(task_id, invoice) != "live":
        return None
    return Billed(invoice.id, invoice.name, "live", Decimal(remembered.state["hours"]))


def _remembered_hours(remembered: Link | None, linked_id: str) -> Decimal | None:
    return Decimal(remembered.state["hours"]) if remembered is not None and remembered.remote_id == linked_id else None


async def _invoice(invoice_id: str, books: BillingBooks) -> Invoice | None:
    try:
        return await books.invoice(invoice_id)
    except NotFound:
        return None


def _standing(task_id: str, invoice: Invoice | None) -> Standing:
    if invoice is None or invoice.is_deleted or task_id not in invoice.task_ids:
        return "lost"
    return "cancelled" if invoice.status_id in NOT_OWED else "live"


def _by_hand(link: Link, task: Task | None, invoice: Invoice | None) -> Decimal | None:
    """Which hours an invoice of a person's bills, when a lost answer left open which ones it found."""
    if task is None or invoice is None or has_stored_log(link, task):
        return None
    quantity = sum((line.quantity for line in invoice.lines if line.task_id == task.id), Decimal(0))
    return hours_on_line(link, task, quantity) if quantity > 0 else None
