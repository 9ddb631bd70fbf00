"""Reconciling with Stripe when single objects are odd or gone, or more is to be read than may be."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from handlers.ports.billing import Json
from tests.support.reconcile.reconcile_bench import ReconcileBench, reconcile_bench

WEEK = timedelta(days=7)
MONTHS = 200 * 24 * 3600


@pytest.fixture
async def desk() -> AsyncIterator[ReconcileBench]:
    """An empty bench."""
    async with reconcile_bench() as made:
        yield made


async def _paid_long_ago(desk: ReconcileBench, number: str) -> Json:
    """A payment that is known, and older than every list."""
    await desk.invoice(await desk.client(), "100", number)
    intent: Json = desk.people.pay(10000, "eur", {"invoice_number": number})
    await desk.deliver_webhooks()
    desk.clock.wait(MONTHS)
    return intent


async def test_a_refund_that_cannot_be_read(desk: ReconcileBench) -> None:
    """It is named as a problem; what else moved is found all the same."""
    strange, good = await _paid_long_ago(desk, "2026-1"), await _paid_long_ago(desk, "2026-2")
    odd = desk.people.refund(strange["id"], 1000)
    desk.people.refund(good["id"], 4000)
    desk.account.change(odd, amount="many")
    desk.lose_webhooks()
    report = await desk.reconcile(desk.clock() - WEEK)
    assert [one.identity for one in report.differences] == [good["id"]]
    (problem,) = report.problems
    assert problem.startswith(f"{odd['id']} cannot be read: ")
    assert problem.endswith("is no amount in minor units but 'many'")


async def test_a_payment_that_stripe_does_not_know(desk: ReconcileBench) -> None:
    """Its refund is listed, but with this key there is no such payment: a person reads that, the run goes on."""
    gone, good = await _paid_long_ago(desk, "2026-1"), await _paid_long_ago(desk, "2026-2")
    for intent in (gone, good):
        desk.people.refund(intent["id"], 4000)
    desk.lose_webhooks()
    desk.account.tables["payment_intent"].remove(gone["id"])
    report = await desk.reconcile(desk.clock() - WEEK)
    assert report.problems == (f"{gone['id']} was refunded or disputed, but Stripe does not know it",)
    assert [one.identity for one in report.differences] == [good["id"]]


async def test_no_reading_left_to_make_sure(desk: ReconcileBench) -> None:
    """A difference in Invoice Ninja is told by the list alone when the run has read as much as it may."""
    await desk.invoice(await desk.client(), "100", "2026-1")
    intent = desk.people.pay(10000, "eur", {"invoice_number": "2026-1"})
    await desk.deliver_webhooks()
    (row,) = desk.payments()
    desk.clock.wait(60)
    await desk.post("/payments/bulk", {"action": "delete", "ids": [row["id"]]})
    desk.faults.requests.clear()
    report = await desk.reconcile(dry_run=True, most_reads=0)
    assert [(one.identity, one.why) for one in report.differences] == [
        (intent["id"], "it was deleted in Invoice Ninja")
    ]
    assert (report.items_read, len(desk.faults.requests)) == (0, 1)


async def test_progress_over_many_refunds(desk: ReconcileBench) -> None:
    """A person sees that a long list of refunds is being read."""
    desk.account.record_events = False
    for _ in range(100):
        desk.people.refund(desk.people.pay(1000, "eur", {"payment_hash": "own"})["id"])
    await desk.reconcile()
    assert ("refunds at Stripe", 100) in desk.progress
