"""Sums of an invoice or credit: lines, discounts, taxes, rounding (facts section 8). Pure, on `Decimal`.

Taxes and discounts have two decimals whatever the currency; lines stay unrounded only while the discount is an amount.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja.shapes import CUSTOM_FIELDS, LINE
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, exact, number, rounded, text

_TAX_RATES = ("tax_rate1", "tax_rate2", "tax_rate3")
_TAX_NAMES = ("tax_name1", "tax_name2", "tax_name3")
_AMOUNTS = ("quantity", "cost", "product_cost", "discount", *_TAX_RATES)
_TEXTS = (
    "product_key",
    "notes",
    "tax_name1",
    "tax_name2",
    "tax_name3",
    "sort_id",
    "date",
    "task_id",
    "expense_id",
    "unit_code",
    *CUSTOM_FIELDS,
)
_SURCHARGES = ("custom_surcharge1", "custom_surcharge2", "custom_surcharge3", "custom_surcharge4")
_PERCENT = Decimal(100)
_TAX_PLACES = 2
_RAPPEN = Decimal("0.05")


@dataclass(frozen=True)
class _Terms:
    """What of the document matters for its lines."""

    inclusive: bool
    discount: Decimal
    is_amount_discount: bool

    def tax(self, amount: Decimal, rate: Decimal) -> Decimal:
        if self.inclusive:
            return rounded(amount - amount / (1 + rate / _PERCENT), _TAX_PLACES)
        return rounded(amount * rate / _PERCENT, _TAX_PLACES)

    def reduction(self, amount: Decimal, subtotal: Decimal) -> Decimal:
        """The part of the document's discount that falls on `amount`."""
        if not self.is_amount_discount:
            return amount * self.discount / _PERCENT
        return self.discount * amount / subtotal if subtotal > 0 else ZERO


def clean_line(given: Mapping[str, Any], *, is_amount_discount: bool) -> dict[str, Any]:
    """Cast a line item as sent: numbers from strings, texts, defaults; unknown keys stay."""
    line = {**LINE, **given, "is_amount_discount": is_amount_discount}
    line.update({key: exact(decimal(line[key])) for key in _AMOUNTS})
    line.update({key: text(line[key]) for key in _TEXTS})
    line["type_id"] = text(line["type_id"]) or "1"
    line["tax_id"] = text(line["tax_id"]) or "1"
    line["sort_id"] = line["sort_id"] or "0"
    line["unit_code"] = line["unit_code"] or "C62"
    return line


def computed(document: Mapping[str, Any], precision: int, *, to_rappen: bool = False) -> dict[str, Any]:
    """Compute `line_items`, `amount` and `total_taxes` of a document; `precision` in places of its currency.

    `to_rappen` rounds the amount to 0.05 (`enable_rappen_rounding`).
    """
    terms = _Terms(
        inclusive=bool(document["uses_inclusive_taxes"]),
        discount=decimal(document["discount"]),
        is_amount_discount=bool(document["is_amount_discount"]),
    )
    lines = [dict(line) for line in document["line_items"]]
    totals = [_line_total(line, precision) for line in lines]
    subtotal = sum((rounded(total, precision) for total in totals), ZERO)
    taxes = ZERO
    for line, total in zip(lines, totals, strict=True):
        taxes += _tax_line(line, total, subtotal, terms)
    after_discount = subtotal - _discount(subtotal, terms)
    # A tax of the whole document needs a name of two letters, one of a line does not.
    rates = [rate for name, rate in zip(_TAX_NAMES, _TAX_RATES, strict=True) if len(document[name]) > 1]
    taxes += sum((terms.tax(after_discount, decimal(document[rate])) for rate in rates), ZERO)
    surcharges = sum((decimal(document[name]) for name in _SURCHARGES), ZERO)
    amount = rounded(after_discount + surcharges + (ZERO if terms.inclusive else taxes), precision)
    if to_rappen:
        amount = rounded(amount / _RAPPEN, 0) * _RAPPEN
    return {"line_items": lines, "amount": number(amount), "total_taxes": number(taxes)}


def _line_total(line: Mapping[str, Any], precision: int) -> Decimal:
    total = decimal(line["quantity"]) * decimal(line["cost"])
    discount = decimal(line["discount"])
    if line["is_amount_discount"]:
        return total - rounded(discount, precision)
    return rounded(total - total * discount / _PERCENT, precision)


def _tax_line(line: dict[str, Any], total: Decimal, subtotal: Decimal, terms: _Terms) -> Decimal:
    """Write the sums of a line into it and give its taxes."""
    taxed = total - terms.reduction(total, subtotal)
    taxes = sum((terms.tax(taxed, decimal(line[rate])) for rate in _TAX_RATES), ZERO)
    line["line_total"] = exact(total)
    line["gross_line_total"] = exact(total if terms.inclusive else total + taxes)
    line["tax_amount"] = exact(taxes)
    return taxes


def _discount(subtotal: Decimal, terms: _Terms) -> Decimal:
    if terms.is_amount_discount:
        return terms.discount
    return rounded(subtotal * terms.discount / _PERCENT, _TAX_PLACES)
