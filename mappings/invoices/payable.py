"""Whether somebody should be asked to pay an invoice at Stripe, and how much."""

from decimal import Decimal

from mappings.invoiceninja.models import Invoice, InvoiceStatus
from mappings.values.money import to_minor


def price_of(invoice: Invoice, currency: str) -> int:
    """The open balance in minor units, by Stripe's own table of decimals.

    Raises:
        MoneyError: Stripe cannot charge it.
    """
    return to_minor(invoice.balance, currency)


def why_not_payable(invoice: Invoice) -> str:
    """Why nobody should be asked to pay this invoice; "" when somebody should."""
    name = f"invoice {invoice.number or invoice.id}"
    if invoice.is_deleted:
        return f"{name} is deleted in Invoice Ninja"
    if invoice.status_id == InvoiceStatus.DRAFT:
        return f"{name} is a draft: mark it sent first"
    if invoice.status_id in {InvoiceStatus.CANCELLED, InvoiceStatus.REVERSED}:
        return f"{name} is cancelled"
    if invoice.status_id == InvoiceStatus.PAID:
        return f"{name} is paid"
    return f"{name} has nothing open ({invoice.balance})" if invoice.balance <= Decimal(0) else ""
