"""A failed payment of a Stripe invoice makes its invoice overdue; a later success, or a void one, heals that."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from handlers.errors import Rejected
from handlers.payments.ledger_rows import PaymentRows
from mappings.invoiceninja.models import Invoice, InvoiceStatus

_OWED = frozenset({InvoiceStatus.SENT, InvoiceStatus.PARTIAL})


async def keep_due_date(rows: PaymentRows, overdue_since: int | None, zone: str) -> list[str]:
    """Make the due date not later than the day of the failure (unix seconds), or what it was before.

    Returns notes for the invoice. A draft is not owed yet, and a cancelled invoice is never written: a PUT would make
    it paid.
    """
    if rows.invoice is None:
        return []
    if overdue_since is None:
        return await _heal(rows, rows.invoice)
    return await _set_overdue(rows, rows.invoice, day_of(overdue_since, zone))


def day_of(moment: int, zone: str) -> str:
    """The day of a point in time (unix seconds) in a time zone, as YYYY-MM-DD."""
    return datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone)).date().isoformat()


async def _set_overdue(rows: PaymentRows, invoice: Invoice, day: str) -> list[str]:
    record = rows.record
    if invoice.status_id not in _OWED or invoice.is_deleted:
        return []
    known = {record.due_date_set, record.due_date_before}
    if record.due_date_set is not None and invoice.due_date not in known:
        # A person gave it another date since.
        return []
    before = invoice.due_date if record.due_date_before is None else record.due_date_before
    if not invoice.due_date or invoice.due_date > day:
        await rows.save(due_date_before=before, due_date_set=day, invoice_id=invoice.id, invoice_number=invoice.number)
        refusal = await _put(rows, invoice, day)
        if refusal:
            return [f"Overdue at Stripe since {day}, but the due date cannot be changed: {refusal}"]
        rows.done.append(f"invoice {invoice.number} is overdue since {day}")
    if rows.record.due_date_set is None:
        return []
    return [f"Overdue at Stripe since {rows.record.due_date_set}; the due date before was {before or 'not set'}"]


async def _heal(rows: PaymentRows, invoice: Invoice) -> list[str]:
    """Put the due date back, unless a person gave it another one. Our memory of it goes only with `forgotten`."""
    before, was_set = rows.record.due_date_before, rows.record.due_date_set
    if was_set is None or before is None or before == was_set:
        return []
    may_change = (invoice.status_id in _OWED or invoice.is_paid) and not invoice.is_deleted
    if may_change and invoice.due_date == was_set:
        refusal = await _put(rows, invoice, before)
        if refusal:
            return [f"No longer overdue at Stripe, but the due date cannot be changed: {refusal}"]
        rows.done.append(f"invoice {invoice.number} has its due date back")
    is_back = rows.invoice is not None and rows.invoice.due_date == before
    return [f"No longer overdue: the due date is {before or 'not set'} again"] if is_back else []


def forgotten(overdue_since: int | None) -> dict[str, None]:
    """The changes of a record whose invoice is healed and noted: to be saved last, so that a crash repeats both."""
    return {"due_date_before": None, "due_date_set": None} if overdue_since is None else {}


async def _put(rows: PaymentRows, invoice: Invoice, due_date: str) -> str:
    """Write the due date; returns why Invoice Ninja refuses (a locked invoice), "" when it took it."""
    try:
        rows.invoice = await rows.world.books.update_invoice(invoice.id, {"due_date": due_date})
    except Rejected as error:
        return error.message
    return ""
