"""The texts of mappings.json on an invoice: a POST loses the notes to those of the client, a PUT keeps them.

Source: docs/facts/invoice-ninja-2.md section 3.
"""

from handlers.errors import Rejected
from handlers.ports.invoice_world import BillingBooks
from mappings.invoiceninja.models import Invoice
from mappings.invoices.models import Terms


async def put_texts(invoice: Invoice, terms: Terms, books: BillingBooks) -> tuple[Invoice, str]:
    """Write notes, terms and footer that the rules want and the invoice does not show.

    Returns the invoice as it is afterwards, and what a person must look at, "" for nothing.
    """
    missing = missing_texts(invoice, terms)
    if not missing:
        return invoice, ""
    try:
        invoice = await books.update_invoice(invoice.id, missing)
    except Rejected as error:
        return invoice, f"its {_names(missing)} could not be written: {error.message}"
    still = missing_texts(invoice, terms)
    return invoice, f"Invoice Ninja shows its {_names(still)} otherwise than mappings.json has them" if still else ""


def missing_texts(invoice: Invoice, terms: Terms) -> dict[str, str]:
    """The texts of the rules that the invoice does not hold; more may stand beside them, such as a payment link."""
    wanted = {
        "public_notes": (terms.notes, invoice.public_notes),
        "terms": (terms.terms, invoice.terms),
        "footer": (terms.footer, invoice.footer),
    }
    return {name: text for name, (text, shown) in wanted.items() if text.strip() not in shown}


def _names(texts: dict[str, str]) -> str:
    return ", ".join(texts).replace("public_notes", "notes")
