"""The balance of money: every payment is accounted for, and what is not is named."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from handlers.reconcile import money_balance
from handlers.reconcile.stripe_models import Known
from mappings.stripe.balance import CountedPayment, CurrencyBalance, MoneyReport
from tests.support.payments.payment_bench import START
from tests.support.reconcile.reconcile_bench import Month, ReconcileBench, reconcile_bench


@pytest.fixture
async def desk() -> AsyncIterator[ReconcileBench]:
    """An empty bench."""
    async with reconcile_bench() as made:
        yield made


async def _paid(desk: ReconcileBench, number: str = "2026-1", amount: int = 10000, **metadata: str) -> Any:
    await desk.invoice(await desk.client(), "100", number)
    intent = desk.people.pay(amount, "eur", {"invoice_number": number, **metadata})
    await desk.deliver_webhooks()
    return intent


def _sums(report: MoneyReport, currency: str = "EUR") -> CurrencyBalance:
    return report.currencies[currency]


@pytest.mark.parametrize("has_key", [True, False])
class TestAddsUp:
    """Received minus returned = recorded + unmatched + ignored + under way, with and without a key."""

    async def test_recorded_refunded_and_disputed_money(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """What went back is on both sides."""
        first, second = await _paid(desk), await _paid(desk, "2026-2")
        desk.people.refund(first["id"], 4000)
        desk.people.dispute_lost(desk.people.dispute(second["id"])["id"])
        await desk.deliver_webhooks()
        report = await desk.balance(has_key=has_key)
        sums = _sums(report)
        assert (sums.received, sums.returned, sums.recorded) == (Decimal(200), Decimal(140), Decimal(60))
        assert (report.is_balanced, sums.difference, sums.payments) == (True, Decimal(0), 2)

    async def test_money_without_an_invoice(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """It waits, or is ignored for a reason, and the sum is 0."""
        waiting = desk.people.pay(1000, "eur")
        ignored = desk.people.pay(2500, "eur")
        await desk.deliver_webhooks()
        record = desk.memory.records[ignored["id"]]
        desk.memory.records[ignored["id"]] = replace(record, status="ignored", reason="a test purchase")
        report = await desk.balance(has_key=has_key)
        sums = _sums(report)
        assert desk.memory.records[waiting["id"]].status == "unmatched"
        assert (sums.unmatched, sums.ignored) == (Decimal(10), {"a test purchase": Decimal(25)})
        assert (report.is_balanced, sums.difference) == (True, Decimal(0))

    async def test_money_of_the_own_gateway(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """Invoice Ninja's own Stripe gateway records it: it counts as left out."""
        await _paid(desk, payment_hash="abc")
        sums = _sums(await desk.balance(has_key=has_key))
        assert sums.ignored == {"recorded by Invoice Ninja's own Stripe gateway": Decimal(100)}

    async def test_a_payment_that_was_deleted(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """Nobody noticed yet: it differs, and the sentence says by what."""
        intent = await _paid(desk)
        (row,) = desk.payments()
        await desk.ninja.delete_payment(row["id"])
        report = await desk.balance(has_key=has_key)
        (one,) = report.differing
        assert (one.identity, one.difference, report.is_balanced) == (intent["id"], Decimal(100), False)
        assert one.sentence == "100.00 EUR stayed at Stripe, and Invoice Ninja holds nothing of it"

    @pytest.mark.parametrize("asks_stripe", [True, False])
    async def test_receipts_and_money_past_stripe(
        self, desk: ReconcileBench, *, has_key: bool, asks_stripe: bool
    ) -> None:
        """A receipt invoice is no money of its own, what came past Stripe is; for workers with and without a key."""
        if not asks_stripe:
            desk.stripe = None
        client = await desk.client()
        for number in ("R-1", "R-2"):
            await desk.invoice(client, "100", number)
        desk.people.pay_with_receipt(10000, "eur", {"invoice_number": "R-1"})
        past = desk.people.bill(10000, "eur", {"invoice_number": "R-2"})
        desk.people.invoice_paid_out_of_band(past["id"])
        await desk.deliver_webhooks()
        report = await desk.balance(has_key=has_key)
        sums = _sums(report)
        assert (sums.payments, sums.received, sums.recorded) == (2, Decimal(200), Decimal(200))
        assert (report.is_balanced, desk.misfits()) == (True, [])
        assert {row["balance"] for row in desk.state.tables["invoices"]} == {0}

    async def test_a_dispute_that_took_a_part(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """What moved decides, in the lists as in the events: nothing differs, and reconciling finds nothing."""
        intent = await _paid(desk)
        made = desk.people.dispute(intent["id"])
        moves = [{"id": f"txn_{n}", "object": "balance_transaction", "currency": "eur", "fee": 0} for n in (1, 2)]
        for move, amount in zip(moves, (-10000, 7000), strict=True):
            move |= {"amount": amount, "created": made["created"]}
        desk.account.find("dispute", made["id"])["balance_transactions"] = moves
        desk.people.dispute_lost(made["id"])
        desk.account.find("dispute", made["id"])["balance_transactions"] = moves
        await desk.deliver_webhooks()
        await desk.reconcile()
        report = await desk.balance(has_key=has_key)
        assert (_sums(report).returned, report.differing) == (Decimal(30), [])
        assert (await desk.reconcile(dry_run=True)).differences == ()

    async def test_an_event_that_is_under_way(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """What an unfinished event will settle does not differ."""
        intent = await _paid(desk)
        (row,) = desk.payments()
        await desk.ninja.delete_payment(row["id"])
        desk.records.busy[f"stripe:payment:{intent['id']}"] = Known(1, "retrying", "Invoice Ninja is away")
        report = await desk.balance(has_key=has_key)
        assert (report.is_balanced, _sums(report).under_way) == (True, Decimal(100))

    async def test_only_the_span_counts(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """Money of the month before is not in the sums of this one."""
        await _paid(desk)
        desk.clock.wait(20 * 24 * 3600)
        await _paid(desk, "2026-2", 5000)
        now = desk.clock()
        late = await desk.balance(now - timedelta(days=5), has_key=has_key)
        early = await desk.balance(now - timedelta(days=25), now - timedelta(days=5), has_key=has_key)
        assert [_sums(one).received for one in (late, early)] == [Decimal(50), Decimal(100)]
        assert late.is_balanced
        assert early.is_balanced

    async def test_a_payment_that_a_person_entered_in_another_currency(
        self, desk: ReconcileBench, *, has_key: bool
    ) -> None:
        """Francs that stand in the books as euros are left out, with that reason; nothing is converted."""
        intent = desk.people.pay(9500, "chf")
        await desk.deliver_webhooks()
        client = await desk.client("EUR")
        await desk.enter_payment(client, "100", intent["id"])
        report = await desk.balance(has_key=has_key)
        assert _sums(report, "CHF").ignored == {"a person entered it in EUR": Decimal(95)}
        assert report.is_balanced

    async def test_a_payment_of_ours_that_nothing_knows(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """A number of ours in Invoice Ninja without any money at Stripe is too much."""
        await desk.enter_payment(await desk.client("EUR"), "70", "pi_unknown", number="pi_unknown")
        (one,) = (await desk.balance(has_key=has_key)).differing
        assert (one.identity, one.difference) == ("pi_unknown", Decimal(-70))
        assert one.sentence == "Invoice Ninja holds 70 EUR, and neither Stripe nor an event knows it"

    async def test_a_payment_without_a_readable_date(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """Nobody can say whether it is of this span, so it is not called too much."""
        await desk.enter_payment(await desk.client("EUR"), "70", "pi_unknown", number="pi_unknown")
        (row,) = desk.payments()
        row.data["date"] = "soon"
        report = await desk.balance(has_key=has_key)
        assert (report.currencies, report.differing) == ({}, [])

    async def test_batches_change_nothing(
        self, desk: ReconcileBench, monkeypatch: pytest.MonkeyPatch, *, has_key: bool
    ) -> None:
        """More payments than one batch holds give the same report as one batch."""
        for number in range(1, 6):
            await _paid(desk, f"2026-{number}", 1000 * number)
        at_once = await desk.balance(has_key=has_key)
        monkeypatch.setattr(money_balance, "BATCH", 2)
        report = await desk.balance(has_key=has_key)
        assert report == at_once
        assert (_sums(report).payments, _sums(report).recorded) == (5, Decimal(150))

    async def test_an_amount_that_nobody_can_read(self, desk: ReconcileBench, *, has_key: bool) -> None:
        """Shillings of Uganda are named, and are in no sum."""
        desk.people.pay(50000, "ugx")
        await desk.deliver_webhooks()
        intent = next(iter(desk.memory.records))
        desk.memory.records[intent] = replace(
            desk.memory.records[intent], status="unmatched", currency="UGX", amount=50000, paid_at=START
        )
        report = await desk.balance(has_key=has_key)
        assert (report.currencies, len(report.not_counted)) == ({}, 1)


class TestWithAKey:
    """Stripe's lists know what no webhook told."""

    async def test_a_lost_webhook(self, desk: ReconcileBench) -> None:
        """It differs, unless it moved just now."""
        desk.people.pay(10000, "eur")
        desk.lose_webhooks()
        assert (await desk.balance(settling=600)).is_balanced
        assert not (await desk.balance()).is_balanced

    async def test_money_from_before_the_installation(self, desk: ReconcileBench) -> None:
        """What nobody told us of then is not ours to record."""
        desk.people.pay(10000, "eur")
        desk.lose_webhooks()
        desk.clock.wait(24 * 3600)
        report = await desk.balance(known_since=desk.clock() - timedelta(hours=1))
        assert report.currencies == {}

    async def test_an_object_that_cannot_be_read(self, desk: ReconcileBench) -> None:
        """It is named; the others are counted."""
        intent = await _paid(desk)
        broken = desk.people.pay(1000, "eur")
        desk.lose_webhooks()
        desk.account.find("payment_intent", broken["id"])["amount"] = "much"
        report = await desk.balance()
        assert (_sums(report).payments, len(report.not_counted)) == (1, 1)
        assert broken["id"] in report.not_counted[0]
        assert intent["id"] not in report.not_counted[0]

    @pytest.mark.parametrize("seed", [1, 2, 3])
    async def test_a_month_adds_up(self, desk: ReconcileBench, seed: int) -> None:
        """Three currencies, refunds, disputes, lost webhooks: after reconciling nothing differs."""
        await Month(desk, seed, 90).play(0.1)
        await desk.reconcile(desk.clock() - timedelta(days=60))
        report = await desk.balance()
        assert report.differing == []
        assert {one.difference for one in report.currencies.values()} == {Decimal(0)}
        assert sum(one.payments for one in report.currencies.values()) > 80


class TestReport:
    """The report for people and programs."""

    def test_json_has_one_form(self) -> None:
        """Amounts are decimal strings in units of the currency; nothing is a float."""
        report = MoneyReport(by_stripe=True)
        report.add(
            [
                CountedPayment("pi_1", "EUR", Decimal("100.00"), Decimal("40.00"), Decimal("50.00")),
                CountedPayment("pi_2", "EUR", Decimal("7.00"), Decimal(0), Decimal(0), "ignored", "a test"),
            ]
        )
        assert report.as_json() == {
            "counted_by": "Stripe's lists",
            "is_balanced": False,
            "currencies": [
                {
                    "currency": "EUR",
                    "payments": 2,
                    "received": "107.00",
                    "returned": "40.00",
                    "recorded": "50.00",
                    "unmatched": "0",
                    "ignored": [{"reason": "a test", "amount": "7.00"}],
                    "under_way": "0",
                    "difference": "10.00",
                }
            ],
            "differing": [
                {
                    "payment": "pi_1",
                    "currency": "EUR",
                    "difference": "10.00",
                    "why": "60.00 EUR stayed at Stripe, and Invoice Ninja holds 50.00 EUR",
                }
            ],
            "not_counted": [],
        }

    def test_differences_that_cancel_are_seen(self) -> None:
        """A sum of 0 is not enough."""
        report = MoneyReport()
        report.add(
            [
                CountedPayment("pi_1", "EUR", Decimal(10), Decimal(0), Decimal(0)),
                CountedPayment("pi_2", "EUR", Decimal(10), Decimal(0), Decimal(20)),
            ]
        )
        assert (report.currencies["EUR"].difference, report.is_balanced) == (Decimal(0), False)

    def test_the_sentence_names_sums_and_five_payments(self) -> None:
        """The sums of each currency, the first five payments that differ, and how many more there are."""
        report = MoneyReport()
        report.add(CountedPayment(f"pi_{n}", "EUR", Decimal(1000), Decimal(0), Decimal(0)) for n in range(1, 8))
        report.add([CountedPayment("pi_8", "CHF", Decimal(30), Decimal(10), Decimal(20))])
        sums, *named, more = report.sentence.split("; ")[1:]
        assert report.sentence.startswith("CHF: received 20, recorded 20, difference 0; ")
        assert sums == "EUR: received 7,000, recorded 0, difference 7,000"
        assert [one.split(":")[0] for one in named] == [f"pi_{n}" for n in range(1, 6)]
        assert named[0] == "pi_1: 1000 EUR stayed at Stripe, and Invoice Ninja holds nothing of it"
        assert more == "2 more payments differ"

    def test_the_sentence_of_nothing(self) -> None:
        """A span without money says so."""
        assert MoneyReport().sentence == "no money arrived"
