"""Whether Invoice Ninja holds a payment as Stripe does: to the smallest unit, whoever divided the money there."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.ports.billing import PaymentRecord
from handlers.reconcile.stripe_compare import Judgement, judge
from handlers.reconcile.stripe_models import BookRow
from mappings.stripe import PaymentTarget
from mappings.values.money import to_major

STEPS = {"EUR": 1, "JPY": 1, "HUF": 1, "KWD": 10, "ISK": 100}
"""The smallest amounts that Stripe takes, in minor units."""

GOAL = PaymentTarget("pi_1", ("pi_1",), "EUR", 10000, 0, 0, "paid", None, None, (), ())
RECORD = PaymentRecord("pi_1", "stripe:payment:pi_1", status="paid", currency="EUR", amount=10000, payment_id="p1")


def _row(amount: Decimal | int, refunded: Decimal | int = 0, *, is_deleted: bool = False) -> BookRow:
    return BookRow("pi_1", Decimal(amount), Decimal(refunded), is_deleted)


@given(
    currency=st.sampled_from(sorted(STEPS)),
    shares=st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=4),
    off=st.integers(-3, 3),
)
def test_only_the_sum_that_stays_counts(currency: str, shares: list[tuple[int, int]], off: int) -> None:
    """However many payments it was divided into, with whatever refunds: the rest is Stripe's, or it is told."""
    step = STEPS[currency]
    parts = [(amount * step, min(back, amount) * step) for amount, back in shares]
    paid, back = sum(amount for amount, _ in parts), sum(refunded for _, refunded in parts)
    goal = replace(GOAL, currency=currency, paid=paid, refunded=back)
    record = replace(RECORD, currency=currency, amount=paid, refunded=back)
    rows = [_row(to_major(amount, currency), to_major(refunded, currency)) for amount, refunded in parts]
    changed = to_major(parts[0][0] + off * step, currency)
    rows[0] = replace(rows[0], amount=changed)
    judgement = judge(goal, record, rows)
    if off:
        held = to_major(paid - back, currency) + to_major(abs(off) * step, currency) * (1 if off > 0 else -1)
        kept = to_major(paid - back, currency)
        assert judgement == Judgement("differs", f"Invoice Ninja holds {held} of it, Stripe {kept} {currency}")
    else:
        assert judgement == Judgement("same")


def test_deleted_payments_do_not_count() -> None:
    """A payment that a person deleted beside the one that stands is no money."""
    assert judge(GOAL, RECORD, [_row(100), _row(50, is_deleted=True)]) == Judgement("same")
    assert judge(GOAL, RECORD, [_row(100, is_deleted=True)]) == Judgement("differs", "it was deleted in Invoice Ninja")


def test_another_sum_in_the_books_is_told() -> None:
    """A person reads both sums, in the units of the currency."""
    judgement = judge(GOAL, RECORD, [_row(100, 1)])
    assert judgement == Judgement("differs", "Invoice Ninja holds 99 of it, Stripe 100.00 EUR")


@pytest.mark.parametrize(
    ("goal", "why"),
    [
        (replace(GOAL, paid=12000), "120.00 EUR arrived, known are 100.00 EUR"),
        (replace(GOAL, refunded=4000, status="partially_refunded"), "40.00 EUR of it went back, known are 0.00 EUR"),
        (replace(GOAL, status="disputed"), "it is disputed at Stripe, known as paid"),
    ],
)
def test_what_stripe_says_otherwise_is_told_in_money(goal: PaymentTarget, why: str) -> None:
    """More arrived, some went back, it is disputed: each is told with what is known."""
    assert judge(goal, RECORD, [_row(100)]) == Judgement("differs", why)


def test_a_currency_of_which_nobody_knows_the_decimals() -> None:
    """Only a person could enter it: whatever they entered is theirs to say."""
    goal = replace(GOAL, currency="UGX", paid=500000)
    record = replace(RECORD, currency="UGX", amount=500000)
    for amount in (5000, 500000):
        assert judge(goal, record, [_row(amount)]) == Judgement("same")
