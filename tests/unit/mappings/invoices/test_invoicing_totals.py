"""Sums as Invoice Ninja's own code makes them: what is rounded, when, and to how many decimals."""

from decimal import Decimal
from typing import Any

import pytest

from mappings.invoiceninja.models import Tax
from mappings.invoices.models import Line, Terms
from mappings.invoices.totals import sums
from middleware.lab.sandbox.invoiceninja import totals as sandbox
from middleware.lab.sandbox.invoiceninja.shapes import INVOICE

VAT = Tax("VAT", Decimal(21))


def terms(**changes: Any) -> Terms:
    """Plain terms."""
    given: dict[str, Any] = {"discount": Decimal(0), "is_amount_discount": False, "inclusive_taxes": False} | changes
    return Terms("net30", "run_day", "UTC", "custom_value4", **given)


def lines(*amounts: tuple[str, str]) -> list[Line]:
    """Taxed lines of quantity and cost."""
    return [
        Line(f"t{i}", "Work", Decimal(quantity), Decimal(cost), (VAT,)) for i, (quantity, cost) in enumerate(amounts)
    ]


@pytest.mark.parametrize(
    ("given", "rules", "precision", "taxes", "total"),
    [
        # 0.5 x 0.99 is 0.495: taxed as 0.50, not as 0.495.
        (lines(("0.5", "0.99")), {}, 2, "0.11", "0.61"),
        (lines(("0.5", "0.99")), {"discount": Decimal("0.10"), "is_amount_discount": True}, 2, "0.08", "0.48"),
        (lines(("1.117", "79.99"), ("0.333", "80")), {"discount": Decimal(10)}, 2, "21.92", "126.31"),
        # Yen: taxes with two decimals, rounded only in the total.
        (lines(("1", "1002"), ("1", "1002"), ("1", "1002")), {}, 0, "631.26", "3637"),
        (lines(("1", "1002")), {"discount": Decimal("12.5")}, 0, "184.12", "1061"),
    ],
)
def test_what_is_rounded(given: list[Line], rules: dict[str, Any], precision: int, taxes: str, total: str) -> None:
    """Lines to the currency, taxes and discounts to two decimals; the sandbox computes the same."""
    made = sums(given, terms(**rules), precision)
    assert (made.total_taxes, made.total) == (Decimal(taxes), Decimal(total))
    document = {
        **INVOICE,
        "discount": float(made.discount if rules.get("is_amount_discount") else rules.get("discount", 0)),
        "is_amount_discount": rules.get("is_amount_discount", False),
    }
    sent = [
        {"quantity": str(line.quantity), "cost": str(line.cost), "tax_name1": "VAT", "tax_rate1": 21} for line in given
    ]
    document["line_items"] = [
        sandbox.clean_line(line, is_amount_discount=document["is_amount_discount"]) for line in sent
    ]
    assert Decimal(str(sandbox.computed(document, precision)["amount"])) == made.total
