"""How an invoice stands, in the words of people. Pure."""

from collections.abc import Collection
from datetime import date

from mappings.invoiceninja.models import InvoiceStatus
from middleware.store.billing.mirror import BookInvoice

_STORED = {
    InvoiceStatus.DRAFT: "draft",
    InvoiceStatus.PAID: "paid",
    InvoiceStatus.CANCELLED: "cancelled",
    InvoiceStatus.REVERSED: "reversed",
}
# What payments say of their invoice, the most telling first.
_PAYMENTS = ("disputed", "refunded", "partially_refunded")


def invoice_word(invoice: BookInvoice, today: date) -> str:
    """One word: deleted, draft, sent, partial, paid, overdue, refunded, disputed, cancelled ..."""
    if invoice.is_deleted:
        return "deleted"
    if "disputed" in invoice.payments:
        return "disputed"
    stored = _STORED.get(InvoiceStatus(invoice.status_id)) if invoice.status_id in set(InvoiceStatus) else "unknown"
    if stored and stored != "paid":
        return stored
    if invoice.balance > 0 and invoice.due_date is not None and invoice.due_date < today:
        return "overdue"
    return _by_payments(invoice.payments) or stored or ("partial" if is_partly_paid(invoice) else "sent")


def is_partly_paid(invoice: BookInvoice) -> bool:
    """Whether something, but not all of it, was paid."""
    return 0 < invoice.balance < invoice.amount


def _by_payments(statuses: Collection[str]) -> str:
    return next((word.replace("_", " ") for word in _PAYMENTS if word in statuses), "")
