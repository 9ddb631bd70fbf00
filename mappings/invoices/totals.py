"""The sums of an invoice as Invoice Ninja computes them (docs/facts/invoice-ninja.md section 8, "Rounding").

Each line is rounded to the currency for the sum. Taxes are computed for each line after its part of the discount, and
rounded to two decimals whatever the currency, as is a discount in percent; only the total is rounded to the currency
again. Halves go away from zero. Lines are taxed rounded when the discount is in percent (or there is none), but
unrounded when it is an amount: `is_amount_discount` must be sent, because Invoice Ninja's default for it is true.
With `enable_rappen_rounding` the total, and nothing else, goes to the next 0.05.
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from mappings.invoiceninja.models import Tax
from mappings.invoices.models import Line, Terms, Totals

_PERCENT = Decimal(100)
_NOTHING = Decimal(0)
QUANTITY = Decimal("0.001")
COST = Decimal("0.01")
_TAX_PLACES = 2
_RAPPEN = Decimal("0.05")
_SECONDS_PER_HOUR = 3600


def quantity_of(seconds: int) -> Decimal:
    """Hours with three decimals, as invoice lines carry them: at most 1.8 s away from the time itself."""
    return (Decimal(seconds) / _SECONDS_PER_HOUR).quantize(QUANTITY, ROUND_HALF_UP)


def rounded(amount: Decimal, precision: int) -> Decimal:
    """The amount in the currency's smallest unit."""
    return amount.quantize(Decimal(1).scaleb(-precision), ROUND_HALF_UP)


def sums(lines: Sequence[Line], terms: Terms, precision: int) -> Totals:
    """Everything that is added up on the invoice."""
    amounts = [line.quantity * line.cost for line in lines]
    sent = [rounded(amount, precision) for amount in amounts]
    subtotal = sum(sent, _NOTHING)
    discount = _discount(subtotal, terms)
    taxes: dict[Tax, Decimal] = {}
    for line, amount in zip(lines, amounts if terms.is_amount_discount else sent, strict=True):
        taxable = amount - _part_of_discount(amount, subtotal, discount, terms)
        for tax in line.taxes:
            taxes[tax] = taxes.get(tax, _NOTHING) + _tax(taxable, tax, terms)
    total_taxes = sum(taxes.values(), _NOTHING)
    total = rounded(subtotal - discount + (_NOTHING if terms.inclusive_taxes else total_taxes), precision)
    if terms.rounds_to_rappen:
        total = rounded(total / _RAPPEN, 0) * _RAPPEN
    return Totals(subtotal, discount, tuple(taxes.items()), total_taxes, total)


def _discount(subtotal: Decimal, terms: Terms) -> Decimal:
    if terms.is_amount_discount:
        return min(terms.discount, subtotal)
    return rounded(subtotal * terms.discount / _PERCENT, _TAX_PLACES)


def _part_of_discount(amount: Decimal, subtotal: Decimal, discount: Decimal, terms: Terms) -> Decimal:
    if not terms.is_amount_discount:
        return amount * terms.discount / _PERCENT
    return discount * amount / subtotal if subtotal else _NOTHING


def _tax(taxable: Decimal, tax: Tax, terms: Terms) -> Decimal:
    if terms.inclusive_taxes:
        return rounded(taxable - taxable / (1 + tax.rate / _PERCENT), _TAX_PLACES)
    return rounded(taxable * tax.rate / _PERCENT, _TAX_PLACES)
