"""What tells plans and invoices apart: hashes of their content, in a stable order."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from mappings.invoices.models import Entry, PlannedInvoice
from mappings.invoices.period import Period

MARK_PREFIX = "TB-"
"""How our marks on invoices begin."""


def plan_id(period: Period, invoices: Iterable[PlannedInvoice]) -> str:
    """The id of a plan, such as `p-3f9a1c20b7de`: the same for the same invoices, at any time.

    The dates of the invoices are no part of it: they are those of the day on which the invoices are made.
    """
    content = [_content(invoice) for invoice in invoices]
    return f"p-{_digest([period.name, period.timezone, sorted(content, key=lambda one: one[:2])])}"


def mark(period: Period, client_id: str, entries: Iterable[Entry]) -> str:
    """Our mark on an invoice: the same for the same tasks, so that one with a lost answer is found again."""
    return f"{MARK_PREFIX}{period.name}-{_digest([client_id, *sorted(entry.task_id for entry in entries)])}"


def fingerprint(invoice: PlannedInvoice) -> str:
    """The same for two plans of an invoice that would make the same."""
    return _digest(_content(invoice))


def _content(invoice: PlannedInvoice) -> list[Any]:
    lines = [
        [line.task_id, line.notes, str(line.quantity), str(line.cost), line.product_key]
        + [[tax.name, str(tax.rate)] for tax in line.taxes]
        for line in invoice.lines
    ]
    terms = [str(value) for value in _plain(invoice)]
    return [invoice.client_id, invoice.scope, invoice.currency, str(invoice.totals.total), terms, lines]


def _plain(invoice: PlannedInvoice) -> list[object]:
    terms = invoice.terms
    discount = [terms.discount.normalize(), terms.is_amount_discount, terms.inclusive_taxes]
    plain = [terms.payment_terms, terms.invoice_date, terms.notes, terms.auto_send, terms.auto_bill, *discount]
    # Without them, plans keep the ids that they had before there were terms and footers.
    return [*plain, terms.terms, terms.footer] if terms.terms or terms.footer else plain


def _digest(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
