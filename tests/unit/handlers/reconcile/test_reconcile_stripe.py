"""Reconciling with Stripe: what was lost is found, what is known is left in peace, and few requests are needed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from handlers.reconcile.stripe_models import Known
from tests.support.payments.payment_bench import START
from tests.support.reconcile.reconcile_bench import Month, ReconcileBench, reconcile_bench


@pytest.fixture
async def desk() -> AsyncIterator[ReconcileBench]:
    """An empty bench."""
    async with reconcile_bench() as made:
        yield made


async def _paid(desk: ReconcileBench, number: str = "2026-1", amount: int = 10000, **metadata: str) -> Any:
    await desk.invoice(await desk.client(), "100", number)
    return desk.people.pay(amount, "eur", {"invoice_number": number, **metadata})


class TestFinding:
    """What is missing or different is put in, once."""

    async def test_a_lost_payment(self, desk: ReconcileBench) -> None:
        """It is told, put in, recorded; then nothing is left to find."""
        intent = await _paid(desk)
        desk.lose_webhooks()
        dry = await desk.reconcile(dry_run=True)
        assert [(one.identity, one.why, one.amount) for one in dry.differences] == [
            (intent["id"], "it is not known here", "100.00 EUR")
        ]
        assert desk.payments() == []
        assert len((await desk.reconcile()).differences) == 1
        assert desk.kept_in_books() == {"2026-1": Decimal(100)}
        again = await desk.reconcile(dry_run=True)
        assert (again.differences, again.looked_at) == ((), 1)

    async def test_a_lost_refund_and_a_lost_failure_of_it(self, desk: ReconcileBench) -> None:
        """The money goes and comes back without any webhook."""
        intent = await _paid(desk)
        await desk.deliver_webhooks()
        refund = desk.people.refund(intent["id"], 4000)
        desk.lose_webhooks()
        (one,) = (await desk.reconcile()).differences
        assert one.why == "40.00 EUR of it went back, known are 0.00 EUR"
        assert desk.kept_in_books() == {"2026-1": Decimal(60)}
        desk.people.refund_fails(refund["id"])
        desk.lose_webhooks()
        assert len((await desk.reconcile()).differences) == 1
        assert desk.kept_in_books() == {"2026-1": Decimal(100)}
        assert (await desk.reconcile()).differences == ()

    async def test_a_lost_dispute(self, desk: ReconcileBench) -> None:
        """Opened and lost, each is found by itself."""
        intent = await _paid(desk)
        await desk.deliver_webhooks()
        dispute = desk.people.dispute(intent["id"])
        desk.lose_webhooks()
        (one,) = (await desk.reconcile()).differences
        assert one.why == "it is disputed at Stripe, known as paid"
        desk.people.dispute_lost(dispute["id"])
        desk.lose_webhooks()
        assert len((await desk.reconcile()).differences) == 1
        assert desk.kept_in_books() == {"2026-1": Decimal(0)}

    async def test_an_old_payment_is_refunded_now(self, desk: ReconcileBench) -> None:
        """The payment is older than every list: its refund leads to it, and is asked for alone."""
        intent = await _paid(desk)
        await desk.deliver_webhooks()
        desk.clock.wait(200 * 24 * 3600)
        desk.people.refund(intent["id"], 4000)
        desk.lose_webhooks()
        report = await desk.reconcile(desk.clock() - timedelta(days=7))
        assert (len(report.differences), report.items_read) == (1, 1)
        assert desk.kept_in_books() == {"2026-1": Decimal(60)}
        quiet = await desk.reconcile(desk.clock() - timedelta(days=7))
        assert (quiet.differences, quiet.items_read) == ((), 0)

    async def test_a_charge_without_intent(self, desk: ReconcileBench) -> None:
        """The older Charges API is looked at, too."""
        await desk.invoice(await desk.client(), "100", "2026-1")
        charge = await desk.client_of_stripe.post(
            "/v1/charges",
            {"amount": 10000, "currency": "eur", "source": "tok_visa", "metadata": {"invoice_number": "2026-1"}},
            idempotency_key="charge",
        )
        desk.lose_webhooks()
        (one,) = (await desk.reconcile()).differences
        assert one.identity == charge["id"]
        assert desk.kept_in_books() == {"2026-1": Decimal(100)}
        assert (await desk.reconcile()).differences == ()

    async def test_a_payment_that_a_person_deleted(self, desk: ReconcileBench) -> None:
        """It is told once, becomes unmatched, and is with a person from then on."""
        await _paid(desk)
        await desk.deliver_webhooks()
        (row,) = desk.payments()
        desk.clock.wait(60)
        await desk.post("/payments/bulk", {"action": "delete", "ids": [row["id"]]})
        (one,) = (await desk.reconcile()).differences
        assert one.why == "it was deleted in Invoice Ninja"
        later = await desk.reconcile()
        assert (later.differences, later.waiting) == ((), 1)

    async def test_a_payment_that_vanished(self, desk: ReconcileBench) -> None:
        """Invoice Ninja was restored from an older backup: the payment is put in again."""
        await _paid(desk)
        await desk.deliver_webhooks()
        (row,) = desk.payments()
        desk.state.tables["payments"]._rows.pop(row["id"])
        desk.state.tables["payments"]._numbers.clear()
        (one,) = (await desk.reconcile(settles=False)).differences
        assert one.why == "Invoice Ninja has no payment of it"


class TestPeace:
    """What needs nothing is not told again and again."""

    async def test_unmatched_ignored_and_foreign_payments(self, desk: ReconcileBench) -> None:
        """They are counted, not told; an unmatched one that a person enters is taken up."""
        client = await desk.client()
        stray = desk.people.pay(5000, "eur")
        ignored = desk.people.pay(6000, "eur")
        desk.people.pay(7000, "eur", {"payment_hash": "own"})
        desk.lose_webhooks()
        assert len((await desk.reconcile()).differences) == 2
        await desk.decide(ignored["id"], "ignore", why="a test")
        quiet = await desk.reconcile()
        assert (quiet.differences, quiet.waiting, quiet.left_alone) == ((), 1, 2)
        desk.clock.wait(5)
        by_hand = {"client_id": client, "amount": 50, "date": "2026-11-21", "transaction_reference": stray["id"]}
        await desk.post("/payments", by_hand)
        (one,) = (await desk.reconcile()).differences
        assert one.why == "a person entered it in Invoice Ninja"
        assert (await desk.reconcile()).differences == ()

    async def test_what_is_under_way_is_not_put_in(self, desk: ReconcileBench) -> None:
        """Its event is stored and not finished yet."""
        intent = await _paid(desk)
        desk.records.busy[f"stripe:payment:{intent['id']}"] = Known(7, "retrying", "Invoice Ninja is away")
        report = await desk.reconcile()
        assert (report.differences, [one.event for one in report.under_way]) == ((), ["7: retrying"])

    async def test_the_worker_goes_on_while_the_lists_are_read(self, desk: ReconcileBench) -> None:
        """A payment that is recorded between the list of Invoice Ninja and our table is no difference."""
        await _paid(desk)
        hidden, real = list[Any](), desk.ninja.payments_since

        async def before_the_worker(moment: int) -> AsyncIterator[Any]:
            hidden.extend([one async for one in real(moment)])
            await desk.deliver_webhooks()
            for one in hidden:
                yield one

        desk.ninja.payments_since = before_the_worker  # type: ignore[method-assign]  # the moment is what is tested
        report = await desk.reconcile()
        assert (hidden, report.differences, report.items_read) == ([], (), 1)

    async def test_the_same_finding_is_put_in_once(self, desk: ReconcileBench) -> None:
        """What was put in and ended otherwise is told with its event; a dead one is put back to work."""
        await _paid(desk)
        (one,) = (await desk.reconcile(settles=False)).differences
        desk.records.ended[one.key] = Known(9, "ignored", "it is of test mode")
        second = await desk.reconcile(settles=False)
        assert (second.differences, second.told_before[0].event) == ((), "9: ignored, it is of test mode")
        desk.records.ended[one.key] = Known(9, "dead", "too long away")
        assert len((await desk.reconcile(settles=False)).differences) == 1

    async def test_what_moved_a_moment_ago_may_be_on_its_way(self, desk: ReconcileBench) -> None:
        """The clock's run leaves it to the next one."""
        await _paid(desk)
        report = await desk.reconcile(settling=timedelta(minutes=10))
        assert (report.differences, report.postponed) == ((), 1)

    async def test_a_clock_that_is_slow_hides_nothing_from_a_person(self, desk: ReconcileBench) -> None:
        """By our clock the money moves only in an hour: a run by hand tells of it all the same."""
        await _paid(desk)
        desk.clock.wait(-3600)
        report = await desk.reconcile(dry_run=True)
        assert (len(report.differences), report.postponed) == (1, 0)

    async def test_money_from_before_is_nobodys(self, desk: ReconcileBench) -> None:
        """Slow debits are looked for two weeks back, but a payment that was over by then is not asked for."""
        await _paid(desk)
        desk.clock.wait(10 * 24 * 3600)
        assert (await desk.reconcile(desk.clock() - timedelta(days=7))).differences == ()

    async def test_failed_and_open_payments_are_no_money(self, desk: ReconcileBench) -> None:
        """Nothing arrived: nothing to compare."""
        desk.people.fail(100, "eur")
        desk.people.authorise(100, "eur")
        assert (await desk.reconcile()).looked_at == 0

    async def test_an_object_that_cannot_be_read_stops_nothing(self, desk: ReconcileBench) -> None:
        """It is named, the others are put in."""
        broken = desk.people.pay(100, "eur")
        desk.account.change(broken, amount_received="many")
        await _paid(desk)
        report = await desk.reconcile()
        assert (len(report.differences), len(report.problems)) == (1, 1)
        assert broken["id"] in report.problems[0]

    async def test_at_most_so_many_are_read_alone(self, desk: ReconcileBench) -> None:
        """The rest is left to the next run, and said."""
        intents = [desk.people.pay(1000 + number, "eur") for number in range(4)]
        desk.clock.wait(200 * 24 * 3600)
        for intent in intents:
            desk.people.refund(intent["id"])
        report = await desk.reconcile(desk.clock() - timedelta(days=7), most_reads=3)
        assert (report.items_read, report.postponed, len(report.differences)) == (3, 1, 3)
        assert report.as_json()["postponed"] == 1


class TestCost:
    """Pages, not payments, are asked for."""

    async def test_requests_for_a_thousand_payments(self, desk: ReconcileBench) -> None:
        """11 pages of intents and charges each, one of everything else."""
        desk.account.record_events = False
        for _ in range(1000):
            desk.people.pay(1000, "eur", {"payment_hash": "own"})
        desk.stripe_faults.requests.clear()
        desk.faults.requests.clear()
        report = await desk.reconcile()
        assert (report.left_alone, len(desk.stripe_faults.requests), len(desk.faults.requests)) == (1000, 22, 1)
        assert ("payments compared", 1000) in desk.progress


@pytest.mark.parametrize(("seed", "on_refund"), [(1, "reopen"), (2, "close")])
async def test_a_month_with_a_third_of_the_webhooks_lost(desk: ReconcileBench, seed: int, on_refund: str) -> None:
    """Payments, parts, refunds that fail, disputes: one run, and every invoice has what Stripe says."""
    desk.rule(on_refund=on_refund)
    missing = await Month(desk, seed, payments=210).play(lost=0.3)
    assert missing > 100
    report = await desk.reconcile(START - timedelta(days=1))
    assert len(report.differences) > 20
    at_stripe = {number: kept for number, kept in desk.kept_at_stripe().items() if kept}
    in_books = {number: kept for number, kept in desk.kept_in_books().items() if kept}
    assert in_books == at_stripe
    again = await desk.reconcile(START - timedelta(days=1), dry_run=True)
    assert (again.differences, again.told_before, again.under_way, again.problems) == ((), (), (), ())
    assert desk.misfits() == []
    if on_refund == "reopen":
        paid = sum(Decimal(str(row["paid_to_date"])) for row in desk.state.tables["clients"])
        assert paid == sum(at_stripe.values())
