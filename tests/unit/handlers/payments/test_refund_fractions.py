"""Refunds of exactly what is left, against a server that compares binary fractions (invoice-ninja-2.md 90)."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.outcome import Processed
from tests.support.payments.payment_bench import Bench, bench, paid, refund

WHOLE = 852_71


async def refunded(desk: Bench, amount: int, parts: list[int]) -> list[object]:
    """A payment of an invoice, then refunds of these parts, one event each; gives the outcomes."""
    client = await desk.client()
    await desk.invoice(client, str(Decimal(amount) / 100), "R-1")
    await desk.deliver(paid(amount, invoice_number="R-1"))
    outcomes: list[object] = []
    for number, part in enumerate(parts, start=1):
        outcomes.append(await desk.deliver(refund(f"re_{number}", part)))
    return outcomes


async def test_recorded_sums_are_refunded_to_the_cent() -> None:
    """852.71 paid, 740.94 back, then the 111.77 that are left."""
    async with bench() as desk:
        outcomes = await refunded(desk, WHOLE, [740_94, 111_77])
        assert all(isinstance(outcome, Processed) for outcome in outcomes), outcomes
        (payment,) = desk.payments()
        assert payment["refunded"] == payment["amount"] == 852.71
        assert desk.misfits() == []


@settings(max_examples=30)
@given(st.integers(2, 10**7), st.lists(st.integers(1, 10**6), min_size=1, max_size=4))
async def test_any_parts_are_refunded_to_the_cent(amount: int, shares: list[int]) -> None:
    """Whatever the parts are, the books end at zero and no refund is refused."""
    parts = _parts(amount, shares)
    async with bench() as desk:
        outcomes = await refunded(desk, amount, parts)
        assert all(isinstance(outcome, Processed) for outcome in outcomes), outcomes
        (payment,) = desk.payments()
        assert payment["refunded"] == payment["amount"]
        assert desk.misfits() == []


def _parts(amount: int, shares: list[int]) -> list[int]:
    """Split an amount by shares into positive parts."""
    parts, left = [], amount
    for share in shares:
        part = min(amount * share // (10**6 * len(shares)), left)
        if part:
            parts.append(part)
            left -= part
    return [*parts, left] if left else parts


async def test_more_than_is_left_is_still_refused() -> None:
    """A refusal that exact numbers explain stays a refusal: nothing smaller is tried."""
    async with bench() as desk:
        await refunded(desk, WHOLE, [100_00])
        (payment,) = desk.payments()
        with pytest.raises(Exception, match="refund"):
            await desk.ninja.refund_payment(payment.id, "2026-11-01", (), amount=Decimal(1000))
