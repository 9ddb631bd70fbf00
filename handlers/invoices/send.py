"""Invoices are to be e-mailed: all that wait go with one request, because Invoice Ninja takes one a second."""

from decimal import Decimal

from handlers.errors import NotFound, RetryLater
from handlers.event import Event, Work
from handlers.invoices.plan import world_of
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.ports.invoice_world import BillingBooks
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice, InvoiceStatus

_TOGETHER = 50


async def send_invoices(work: Work, context: Context) -> Outcome:
    """E-mail every invoice that is due and still the draft that was made.

    One that is sent already, by a lost answer or by a person, is not sent again; one whose sum was changed is left to
    the person who changed it.

    Raises:
        RemoteError: Invoice Ninja failed, or took such a request within the last second.
    """
    books = world_of(context).books
    ready: list[Invoice] = []
    told: list[str] = []
    for event in work.due:
        invoice, refusal = await _present(event, books)
        if invoice is None:
            told.append(refusal)
        elif all(invoice.id != other.id for other in ready):
            ready.append(invoice)
    for start in range(0, len(ready), _TOGETHER):
        told += await _send(ready[start : start + _TOGETHER], books)
        if len(ready) > start + _TOGETHER:
            raise RetryLater(Code.MORE_TO_SEND, f"{'; '.join(told)}; the others follow", 1.3)
    if not ready:
        return Ignored(Code.NOTHING_TO_SEND, "; ".join(told))
    return Processed(Code.INVOICES_SENT, "; ".join(told))


async def _present(event: Event, books: BillingBooks) -> tuple[Invoice | None, str]:
    number = event.payload["number"]
    try:
        invoice = await books.invoice(event.payload["invoice_id"])
    except NotFound:
        return None, f"invoice {number} is gone"
    if invoice.is_deleted:
        return None, f"invoice {number} was deleted"
    if invoice.status_id != InvoiceStatus.DRAFT:
        return None, f"invoice {number} is sent already"
    if invoice.amount != Decimal(event.payload["amount"]):
        return None, f"invoice {number} was changed to {invoice.amount}: send it by hand"
    return invoice, ""


async def _send(invoices: list[Invoice], books: BillingBooks) -> list[str]:
    await books.email_invoices([invoice.id for invoice in invoices])
    return [f"invoice {invoice.number} sent" for invoice in invoices]
