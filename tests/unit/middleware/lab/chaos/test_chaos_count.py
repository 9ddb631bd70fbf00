"""The count of payments after chaos: what it takes for right, and what it does not."""

from typing import Any

import pytest

from middleware.lab.chaos.count import count_payments
from middleware.lab.chaos.payers import Bill
from middleware.lab.sandbox.invoiceninja import NinjaState

Rows = list[tuple[str, str, str]]
"""Number, amount and refunded amount of payments of the intent `pi_1`."""


def differences(rows: Rows, *, received: int, given_back: int) -> list[str]:
    """What the count says of the payments of one intent, in which Stripe holds these cents."""
    ninja = NinjaState()
    invoice: dict[str, Any] = {"number": "0001", "client_id": "c", "status_id": "2", "balance": 0}
    ninja.tables["invoices"].add(invoice)
    for number, amount, refunded in rows:
        payment = {
            "client_id": "c",
            "transaction_reference": "pi_1",
            "number": number,
            "amount": amount,
            "refunded": refunded,
        }
        ninja.tables["payments"].add({**payment, "is_deleted": False})
    bill = Bill(number="0001", client_id="c", cents=received, intents={"pi_1": [received, given_back]})
    payments, amounts, _sums = count_payments([bill], ninja, closes_refunds=False)
    return [*payments.differences, *amounts.differences]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([("pi_1", "303.99", "299.36")], id="as Stripe says"),
        pytest.param([("pi_1", "303.99", "303.99"), ("pi_1-2", "107.18", "102.55")], id="made good"),
    ],
)
def test_right_payments(rows: Rows) -> None:
    """A payment as Stripe holds it is right, and so is one that was refunded too much and made good, to the cent."""
    assert differences(rows, received=30399, given_back=29936) == []


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="lost"),
        pytest.param([("pi_1", "303.99", "303.99")], id="refunded too much"),
        pytest.param([("pi_1", "303.99", "299.36"), ("other", "303.99", "299.36")], id="twice"),
        pytest.param([("pi_1", "303.99", "299.36"), ("pi_1-2", "4.63", "4.63")], id="made good for nothing"),
        pytest.param([("pi_1", "303.99", "303.99"), ("pi_1-2", "107.18", "102.56")], id="a cent off"),
    ],
)
def test_wrong_payments(rows: Rows) -> None:
    """Lost, doubled and wrong money is told."""
    assert differences(rows, received=30399, given_back=29936)


def test_what_is_missing_of_a_bill() -> None:
    """Paid twice, one of the two given back: nothing is missing; a returned debit is owed whatever settles refunds."""
    twice = Bill("0001", "c", 10000, intents={"pi_1": [10000, 10000], "pi_2": [10000, 0]})
    returned = Bill("0002", "c", 10000, intents={"pi_3": [10000, 10000]}, returned=10000)
    assert (twice.missing, twice.never_came) == (0, 0)
    assert (returned.missing, returned.never_came) == (10000, 10000)
    both = {"pi_4": [10000, 10000], "pi_5": [10000, 3000]}
    covered = Bill("0003", "c", 10000, intents=both, returned=10000)
    assert (covered.missing, covered.never_came) == (3000, 0)
