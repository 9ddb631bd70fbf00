"""Linking the tasks of an invoice again, when another one took them over (docs/facts/invoice-ninja.md section 7)."""

from handlers.errors import Rejected
from handlers.ports.invoice_world import BillingBooks
from mappings.invoiceninja.models import Invoice


async def link_again(invoice: Invoice, books: BillingBooks) -> str:
    """Save the invoice; returns why its tasks could not be linked, "" when they were.

    One over 0 is left alone: any PUT makes it paid (docs/facts/invoice-ninja.md section 8).
    """
    if not invoice.amount:
        return ""
    try:
        await books.update_invoice(invoice.id, {"private_notes": invoice.private_notes})
    except Rejected as error:
        return f"invoice {invoice.name} could not be linked to its tasks again: {error.message}"
    return ""
