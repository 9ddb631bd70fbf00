"""What is sent to Invoice Ninja for a planned invoice."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from mappings.invoiceninja.models import InvoiceDraft, InvoiceLine
from mappings.invoices.due_date import due_date
from mappings.invoices.identity import mark
from mappings.invoices.models import Line, PlannedInvoice
from mappings.invoices.period import Period


def draft_of(invoice: PlannedInvoice, period: Period, today: date) -> InvoiceDraft:
    """The invoice as it is posted on the day `today` (as it is counted in the period's time zone).

    Its number is left to Invoice Ninja's own sequence; our mark is in a custom field.
    """
    terms = invoice.terms
    day = period.last if terms.invoice_date == "period_end" else today
    extra: dict[str, str | bool | int | Decimal] = {
        "uses_inclusive_taxes": terms.inclusive_taxes,
        "is_amount_discount": terms.is_amount_discount,
    }
    if terms.discount:
        extra["discount"] = invoice.totals.discount if terms.is_amount_discount else terms.discount
    extra |= {name: text for name, text in (("terms", terms.terms), ("footer", terms.footer)) if text}
    if terms.auto_bill:
        extra["auto_bill_enabled"] = True
    return InvoiceDraft(
        client_id=invoice.client_id,
        date=day.isoformat(),
        due_date=due_date(terms.payment_terms, day).isoformat(),
        lines=invoice_lines(invoice.lines),
        project_id=invoice.project_id,
        public_notes=terms.notes,
        custom_values={terms.mark_field: mark(period, invoice.client_id, invoice.entries)},
        extra=extra,
    )


def invoice_lines(lines: Iterable[Line]) -> tuple[InvoiceLine, ...]:
    """The lines as Invoice Ninja takes them."""
    return tuple(
        InvoiceLine(
            notes=line.notes,
            quantity=line.quantity,
            cost=line.cost,
            task_id=line.task_id,
            product_key=line.product_key,
            taxes=line.taxes,
        )
        for line in lines
    )
