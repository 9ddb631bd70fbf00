"""When an invoice is due: always sent, because Invoice Ninja fills an empty one only when it is marked sent."""

from calendar import monthrange
from datetime import date, timedelta


def due_date(payment_terms: str, invoice_date: date) -> date:
    """The due date by `net30`, `due_on_receipt` or `eom` (the end of the invoice's month).

    Raises:
        ValueError: no such terms; the mapping file lets none pass.
    """
    if payment_terms == "due_on_receipt":
        return invoice_date
    if payment_terms == "eom":
        return invoice_date.replace(day=monthrange(invoice_date.year, invoice_date.month)[1])
    if not payment_terms.startswith("net"):
        raise ValueError(f"{payment_terms!r} are no payment terms")
    return invoice_date + timedelta(days=int(payment_terms.removeprefix("net")))
