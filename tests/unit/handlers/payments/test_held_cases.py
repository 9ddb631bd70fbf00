"""Public bug reports of Stripe bookkeeping that hold here (S12 to S20, S22): they stay so."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.outcome import Ignored, Processed
from tests.support.payments.payment_bench import (
    DAY,
    Bench,
    bench,
    dispute,
    intent,
    open_invoice,
    paid,
    refund,
    stripe_event,
)

NUMBER: Any = {"invoice_number": "R-1"}


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as one:
        yield one


def held(desk: Bench) -> list[tuple[Any, Any]]:
    """Amount and refunded of the payments that count."""
    return [(row["amount"], row["refunded"]) for row in desk.payments()]


async def test_reinstated_money_of_a_lost_dispute(desk: Bench) -> None:
    """S12: the word is lost and no money is shown: it stays lost, with one credit."""
    await open_invoice(desk)
    await desk.deliver(paid(10000, **NUMBER))
    await desk.deliver(dispute("lost", 10000))
    event = dispute("lost", 10000)
    await desk.deliver({**event, "id": "evt_again", "type": "charge.dispute.funds_reinstated"})
    assert held(desk) == [(100, 100)]
    assert len([row for row in desk.state.tables["credits"] if not row["is_deleted"]]) == 1


async def test_refund_and_dispute_of_the_rest(desk: Bench) -> None:
    """S13: 30 were refunded, a dispute over the other 70 is lost: never more than 100."""
    await open_invoice(desk)
    await desk.deliver(paid(10000, **NUMBER))
    await desk.deliver(refund("re_1", 3000))
    await desk.deliver(dispute("lost", 7000))
    assert held(desk) == [(100, 100)]


async def test_only_the_old_event_of_a_refund(desk: Bench) -> None:
    """S14: `charge.refund.updated` alone tells of a refund of a part."""
    await open_invoice(desk)
    await desk.deliver(paid(10000, **NUMBER))
    event = refund("re_1", 2500)
    await desk.deliver({**event, "type": "charge.refund.updated"})
    await desk.deliver({**event, "id": "evt_again", "type": "charge.refund.updated"})
    assert held(desk) == [(100, 25)]


async def test_payment_of_an_invoice_that_is_paid(desk: Bench) -> None:
    """S15: all of it stays unapplied, and the reason says so."""
    await open_invoice(desk)
    await desk.deliver(paid(10000, **NUMBER))
    outcome = await desk.deliver(paid(10000, "pi_2", created=DAY + 60, **NUMBER))
    assert isinstance(outcome, Processed)
    assert "unapplied credit" in outcome.reason
    assert [row["applied"] for row in desk.payments()] == [100, 0]


async def test_more_was_captured_than_authorised(desk: Bench) -> None:
    """S16: a tip of 20 stays unapplied; a refund of 5 leaves the invoice paid."""
    invoice = await open_invoice(desk)
    event = paid(12000, **NUMBER)
    event["data"]["object"]["amount"] = 10000
    await desk.deliver(event)
    await desk.deliver(refund("re_1", 500))
    assert held(desk) == [(120, 5)]
    assert desk.invoice_row(invoice)["balance"] == 0
    assert desk.misfits() == []


async def test_refund_in_another_currency(desk: Bench) -> None:
    """S17: it cannot be subtracted, so a person is asked."""
    await open_invoice(desk)
    await desk.deliver(paid(10000, **NUMBER))
    await desk.deliver(refund("re_1", 5000, currency="usd"))
    assert (held(desk), desk.reviews.kinds) == ([(100, 0)], ["payment_problem"])


async def test_bank_transfer_that_comes_in_parts(desk: Bench) -> None:
    """S18: a part that came is no payment yet; all of it is."""
    await open_invoice(desk)
    body = intent(0, **NUMBER) | {"amount": 10000, "status": "requires_action"}
    outcome = await desk.deliver(stripe_event("payment_intent.partially_funded", DAY, body))
    assert isinstance(outcome, Ignored)
    assert held(desk) == []
    await desk.deliver(paid(10000, **NUMBER))
    assert held(desk) == [(100, 0)]


async def test_strange_names(desk: Bench) -> None:
    """S19: a NUL in the name of a payer and a balance in a currency that nobody knows hinder nothing."""
    await open_invoice(desk)
    event = paid(10000, **NUMBER)
    move = {"id": "txn_1", "object": "balance_transaction", "fee": 3, "currency": "usdc", "created": DAY}
    charge = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "amount": 10000, "captured": True}
    charge |= {"amount_captured": 10000, "currency": "eur", "status": "succeeded", "created": DAY}
    charge |= {"billing_details": {"name": "A\x00da", "email": None}, "balance_transaction": move}
    event["data"]["object"]["latest_charge"] = charge
    await desk.deliver(event)
    assert held(desk) == [(100, 0)]


async def test_events_of_a_test_clock(desk: Bench) -> None:
    """S20: what happened two years ahead is recorded and refunded."""
    await open_invoice(desk)
    ahead = 2 * 365 * 86_400
    event = paid(10000, created=DAY + ahead, **NUMBER)
    await desk.deliver(event)
    later = refund("re_1", 10000)
    later["created"] += ahead + 1
    await desk.deliver(later)
    assert held(desk) == [(100, 100)]


async def test_one_customer_of_two_clients(desk: Bench) -> None:
    """S22: a Stripe customer who has paid for one client and names an invoice of another waits for a person."""
    await open_invoice(desk)
    await desk.invoice(await desk.client(email="other@example.test"), "100", "R-2")
    first, second = paid(10000, **NUMBER), paid(10000, "pi_2", created=DAY + 60, invoice_number="R-2")
    for event in (first, second):
        event["data"]["object"]["customer"] = "cus_1"
        await desk.deliver(event)
    assert held(desk) == [(100, 0)]
    assert desk.memory.records["pi_2"].status == "unmatched"
