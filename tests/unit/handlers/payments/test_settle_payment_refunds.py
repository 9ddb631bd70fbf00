"""Refunds and disputes: the difference to what Invoice Ninja shows, and what becomes of the debt they open again."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import NeedsPerson, Rejected
from handlers.outcome import Ignored, Processed
from tests.support.payments.payment_bench import Bench, bench, events_of, intent, stripe_event

REFUNDED = [("refund", "re_1", 8800, "succeeded")]
DAY = 1_790_000_000


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


def invoice(desk: Bench) -> tuple[Any, ...]:
    """Status, balance and what is paid of the only invoice."""
    (row,) = desk.state.tables["invoices"]
    return row["status_id"], Decimal(str(row["balance"])), Decimal(str(row["paid_to_date"]))


def money(desk: Bench) -> list[tuple[Any, ...]]:
    """Number, amount, applied and refunded of the payments that count."""
    return [
        (row["number"], *(Decimal(str(row[name])) for name in ("amount", "applied", "refunded")))
        for row in desk.payments()
    ]


def live_credits(desk: Bench) -> list[tuple[Any, ...]]:
    """Number and amount of the credits that are not deleted."""
    rows = (row for row in desk.state.tables["credits"] if not row["is_deleted"])
    return [(row["number"], Decimal(str(row["amount"]))) for row in rows]


class TestReopen:
    """`on_refund: reopen` is what Invoice Ninja does by itself."""

    async def test_debt_is_open_again(self, desk: Bench) -> None:
        """A full refund opens the invoice."""
        desk.rule(on_refund="reopen")
        await desk.deliver_all(await events_of(desk, REFUNDED))
        assert invoice(desk) == ("2", 88, 0)
        assert money(desk) == [("pi_1", 88, 88, 88)]
        assert desk.memory.records["pi_1"].status == "refunded"

    async def test_part_is_open_again(self, desk: Bench) -> None:
        """A partial refund opens a part."""
        desk.rule(on_refund="reopen")
        await desk.deliver_all(await events_of(desk, [("refund", "re_1", 800, "succeeded")]))
        assert invoice(desk) == ("3", 8, 80)
        assert desk.memory.records["pi_1"].status == "partially_refunded"

    async def test_failed_refund_brings_the_money_back(self, desk: Bench) -> None:
        """Invoice Ninja cannot undo a refund: the money becomes a further payment."""
        desk.rule(on_refund="reopen")
        events = await events_of(desk, [*REFUNDED, ("refund", "re_1", 8800, "failed")])
        await desk.deliver_all([*events, *reversed(events)])
        assert money(desk) == [("pi_1", 88, 88, 88), ("pi_1-2", 88, 88, 0)]
        assert invoice(desk) == ("4", 0, 88)
        assert desk.memory.records["pi_1"].status == "paid"

    async def test_refunded_once_more(self, desk: Bench) -> None:
        """After a refund that failed, another one goes out of the money that came back."""
        desk.rule(on_refund="reopen")
        steps = [*REFUNDED, ("refund", "re_1", 8800, "failed"), ("refund", "re_2", 3000, "succeeded")]
        await desk.deliver_all(await events_of(desk, steps))
        assert money(desk) == [("pi_1", 88, 88, 88), ("pi_1-2", 88, 88, 30)]
        assert invoice(desk) == ("3", 30, 58)


class TestClose:
    """`on_refund: close`: money given back is not owed again."""

    async def test_debt_is_settled_by_a_credit(self, desk: Bench) -> None:
        """A full refund leaves nothing open, so no reminder goes out."""
        await desk.deliver_all(await events_of(desk, REFUNDED))
        assert invoice(desk)[:2] == ("4", 0)
        assert money(desk) == [("pi_1", 88, 88, 88)]
        assert live_credits(desk) == [("re_1", 88)]
        assert desk.memory.records["pi_1"].status == "refunded"

    async def test_each_refund_has_its_credit(self, desk: Bench) -> None:
        """Two refunds, two credits, whichever is told first."""
        events = await events_of(desk, [("refund", "re_1", 800, "succeeded"), ("refund", "re_2", 1000, "succeeded")])
        await desk.deliver_all([events[0], events[2], events[1]])
        assert live_credits(desk) == [("re_2", 10), ("re_1", 8)]
        assert invoice(desk)[:2] == ("4", 0)

    async def test_two_refunds_at_once_wait_for_each_other(self, desk: Bench) -> None:
        """Their credits are used a moment apart; how the invoice was found is still known then."""
        events = await events_of(desk, [("refund", "re_1", 800, "succeeded"), ("refund", "re_2", 1000, "succeeded")])
        for event in events:
            desk.store_told(event)
        await desk.deliver(events[0])
        assert live_credits(desk) == [("re_1", 8), ("re_2", 10)]
        assert desk.memory.records["pi_1"].matched_by == "metadata of payment_intent pi_1"

    async def test_failed_refund_takes_the_credit_back(self, desk: Bench) -> None:
        """The money takes the place of the credit."""
        events = await events_of(desk, [*REFUNDED, ("refund", "re_1", 8800, "failed")])
        await desk.deliver_all([*events, *events])
        assert money(desk) == [("pi_1", 88, 88, 88), ("pi_1-2", 88, 88, 0)]
        assert live_credits(desk) == []
        assert invoice(desk)[:2] == ("4", 0)
        assert desk.misfits() == []

    async def test_one_of_two_refunds_fails(self, desk: Bench) -> None:
        """Only the credit of the refund that failed is taken back."""
        steps = [
            ("refund", "re_1", 4000, "succeeded"),
            ("refund", "re_2", 4800, "succeeded"),
            ("refund", "re_1", 4000, "failed"),
        ]
        await desk.deliver_all(await events_of(desk, steps))
        assert money(desk) == [("pi_1", 88, 88, 88), ("pi_1-2", 40, 40, 0)]
        assert live_credits(desk) == [("re_2", 48)]
        assert invoice(desk)[:2] == ("4", 0)
        assert desk.misfits() == []

    async def test_half_made_credit_is_used(self, desk: Bench) -> None:
        """A crash between the credit and its use: the next try uses it."""
        events = await events_of(desk, REFUNDED)
        await desk.deliver(events[0])
        desk.faults.add(method="POST", path="/payments$", action="cut", times=40)
        with pytest.raises(AssertionError, match="was not settled"):
            await desk.deliver(events[1])
        assert live_credits(desk) == [("re_1", 88)]
        desk.faults.clear()
        await desk.deliver(events[1])
        assert live_credits(desk) == [("re_1", 88)]
        assert invoice(desk)[:2] == ("4", 0)

    async def test_half_made_credit_of_another_amount_is_deleted(self, desk: Bench) -> None:
        """What a crash left is not right any more: another credit settles the rest."""
        events = await events_of(desk, REFUNDED)
        (row,) = desk.state.tables["invoices"]
        line = {"notes": "left", "quantity": 1, "cost": 5, "type_id": "1"}
        await desk.post(
            "/credits?mark_sent=true", {"client_id": row["client_id"], "number": "re_1", "line_items": [line]}
        )
        await desk.deliver_all(events)
        assert live_credits(desk) == [("pi_1-C1", 88)]
        assert invoice(desk)[:2] == ("4", 0)

    async def test_credit_that_comes_out_otherwise_needs_a_person(self, desk: Bench) -> None:
        """Taxes that Invoice Ninja adds by itself must not settle more than was refunded."""
        events = await events_of(desk, REFUNDED)
        await desk.deliver(events[0])
        (row,) = desk.state.tables["invoices"]
        body = {"data": {"id": "crooked123", "client_id": row["client_id"], "number": "re_1", "amount": 106.48}}
        desk.faults.add(method="POST", path="/credits", status=200, body=body)
        error = await desk.deliver(events[1])
        assert isinstance(error, NeedsPerson)
        assert "came out as 106.48 instead of 88" in error.reason

    async def test_refused_credit_is_told(self, desk: Bench) -> None:
        """A refusal of the credit ends the event with the server's words."""
        events = await events_of(desk, REFUNDED)
        await desk.deliver(events[0])
        body = {"message": "The given data was invalid.", "errors": {"client_id": ["gone"]}}
        desk.faults.add(method="POST", path="/credits", status=422, body=body)
        error = await desk.deliver(events[1])
        assert "client_id: gone" in str(error)

    async def test_policy_may_change(self, desk: Bench) -> None:
        """A debt that was open again is settled when the rule changes and the payment is looked at again."""
        desk.rule(on_refund="reopen")
        events = await events_of(desk, REFUNDED)
        await desk.deliver_all(events)
        desk.rule(on_refund="close")
        await desk.deliver(events[1])
        assert invoice(desk)[:2] == ("4", 0)

    async def test_memory_may_be_lost(self, desk: Bench) -> None:
        """Without our record the books alone say what was settled."""
        desk.rule(on_refund="reopen")
        events = await events_of(desk, REFUNDED)
        await desk.deliver_all(events)
        desk.memory.records.clear()
        desk.rule(on_refund="close")
        await desk.deliver(events[0])
        assert live_credits(desk) == [("re_1", 88)]


STEPS = (
    ("refund", "re_1", 3000, "pending"),
    ("refund", "re_1", 3000, "succeeded"),
    ("refund", "re_1", 3000, "failed"),
    ("refund", "re_2", 1800, "succeeded"),
    ("dispute", "du_3", 4000, "needs_response"),
    ("dispute", "du_3", 4000, "lost"),
    ("dispute", "du_3", 4000, "won"),
)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.sampled_from(["reopen", "close"]), st.sampled_from([8800, 10000, 6000]))
async def test_sums_fit_in_any_order(data: st.DataObject, on_refund: str, paid: int) -> None:
    """Refunds and disputes that come, stay or go back again: what is kept, owed and paid to date is Stripe's."""
    steps = STEPS[: data.draw(st.integers(0, len(STEPS)))]
    newest = {key: (kind, amount, status) for kind, key, amount, status in steps}
    gone = sum(amount for _, amount, status in newest.values() if status in {"succeeded", "lost"})
    async with bench() as desk:
        desk.rule(on_refund=on_refund)
        events = await events_of(desk, steps, paid=paid)
        for event in data.draw(st.permutations(events)):
            await desk.deliver(event)
            assert desk.misfits() == []
        kept = sum((amount - refunded for _, amount, _, refunded in money(desk)), Decimal(0))
        assert kept == Decimal(paid - gone) / 100
        # Invoice Ninja takes back what is beyond the invoice first, and so do we.
        covered = min(Decimal(88), kept if on_refund == "reopen" else Decimal(paid) / 100)
        assert invoice(desk)[1] == 88 - covered


class TestOldVersions:
    """Before 2024-10-28 only the charge tells what was refunded, as a sum."""

    async def test_each_growth_is_settled(self, desk: Bench) -> None:
        """Credits are numbered by the payment: there is no refund to name them by."""
        events = await events_of(desk, [])
        charge = {
            "id": "ch_1",
            "object": "charge",
            "payment_intent": "pi_1",
            "amount": 8800,
            "captured": True,
            "status": "succeeded",
            "currency": "eur",
            "created": DAY,
        }
        for minutes, gone in enumerate((1000, 3000, 8800)):
            body = {**charge, "amount_refunded": gone}
            events.append(stripe_event("charge.refunded", DAY + 60 * minutes, body, api_version="2023-10-16"))
        await desk.deliver_all(events)
        assert money(desk) == [("pi_1", 88, 88, 88)]
        assert live_credits(desk) == [("pi_1-C1", 10), ("pi_1-C2", 20), ("pi_1-C3", 58)]
        assert invoice(desk)[:2] == ("4", 0)


class TestRefused:
    """What Invoice Ninja refuses is told in its words."""

    async def test_refund(self, desk: Bench) -> None:
        """Nothing is remembered as refunded."""
        events = await events_of(desk, REFUNDED)
        await desk.deliver(events[0])
        body = {"message": "The given data was invalid.", "errors": {"date": ["no"]}}
        desk.faults.add(method="POST", path="/payments/refund", status=422, body=body)
        error = await desk.deliver(events[1])
        assert isinstance(error, Rejected)
        assert money(desk) == [("pi_1", 88, 88, 0)]

    async def test_applying(self, desk: Bench) -> None:
        """What a crash left unapplied cannot be applied."""
        events = await events_of(desk, [])
        (row,) = desk.state.tables["invoices"]
        made = {"client_id": row["client_id"], "amount": 88, "transaction_reference": "pi_1"}
        await desk.post("/payments", made)
        body = {"message": "The given data was invalid.", "errors": {"invoices": ["no"]}}
        desk.faults.add(method="PUT", path="/payments/", status=422, body=body)
        error = await desk.deliver(events[0])
        assert isinstance(error, Rejected)


class TestOverpaid:
    """Invoice Ninja refunds only what an invoice holds."""

    @pytest.mark.parametrize(
        ("gone", "applied", "balance", "closed"),
        [(1000, 98, 0, []), (1200, 100, 0, []), (2000, 100, 0, [("re_1", 8)]), (10000, 100, 0, [("re_1", 88)])],
    )
    async def test_credit_goes_back_first(
        self, desk: Bench, gone: int, applied: int, balance: int, closed: list[tuple[str, int]]
    ) -> None:
        """100 were paid for 88: what goes back is the client's credit first, then the invoice's money."""
        await desk.deliver_all(await events_of(desk, [("refund", "re_1", gone, "succeeded")], paid=10000))
        assert money(desk) == [("pi_1", 100, applied, Decimal(gone) / 100)]
        assert invoice(desk)[:2] == ("4", balance)
        assert live_credits(desk) == closed

    async def test_money_of_no_invoice_goes_back(self, desk: Bench) -> None:
        """The invoice was paid before: all of it is credit, and refunded as that."""
        events = await events_of(desk, [("refund", "re_1", 3000, "succeeded")])
        await desk.deliver(
            stripe_event("payment_intent.succeeded", DAY, intent(8800, "pi_0", invoice_number="2026-0100"))
        )
        await desk.deliver_all(events)
        assert money(desk) == [("pi_0", 88, 88, 0), ("pi_1", 88, 0, 30)]
        assert "58.00 EUR are more" in desk.memory.records["pi_1"].reason

    async def test_nothing_left_to_refund_needs_a_person(self, desk: Bench) -> None:
        """A person used the money otherwise: there is nothing that could be refunded."""
        events = await events_of(desk, [("refund", "re_1", 10000, "succeeded")], paid=10000)
        await desk.deliver(events[0])
        (row,) = desk.payments()
        row.data["applied"] = 100
        error = await desk.deliver(events[1])
        assert isinstance(error, NeedsPerson)
        assert "nothing left to refund" in error.reason


class TestDisputes:
    """A dispute is noted; a lost one is money that is gone."""

    async def test_open_dispute_is_noted(self, desk: Bench) -> None:
        """Nothing moves while it is open."""
        await desk.deliver_all(await events_of(desk, [("dispute", "du_1", 8800, "needs_response")]))
        assert desk.memory.records["pi_1"].status == "disputed"
        assert invoice(desk) == ("4", 0, 88)
        assert [note for note in desk.notes() if "needs_response" in note]

    async def test_lost_dispute_is_money_gone(self, desk: Bench) -> None:
        """It is shown as refunded, and not owed again."""
        await desk.deliver_all(await events_of(desk, [("dispute", "du_1", 5000, "lost")]))
        assert money(desk) == [("pi_1", 88, 88, 50)]
        assert live_credits(desk) == [("du_1", 50)]
        assert desk.memory.records["pi_1"].status == "partially_refunded"

    async def test_won_after_an_appeal_heals(self, desk: Bench) -> None:
        """Lost first, won in the end: the money is back."""
        steps = [("dispute", "du_1", 8800, "lost"), ("dispute", "du_1", 8800, "won")]
        await desk.deliver_all(await events_of(desk, steps))
        assert money(desk) == [("pi_1", 88, 88, 88), ("pi_1-2", 88, 88, 0)]
        assert desk.memory.records["pi_1"].status == "paid"

    async def test_notes_are_written_once(self, desk: Bench) -> None:
        """However often an event is told."""
        events = await events_of(desk, [("dispute", "du_1", 8800, "needs_response")])
        await desk.deliver_all(events * 3)
        desk.memory.records.clear()
        await desk.deliver_all(events)
        assert len(desk.notes()) == 1


async def test_what_came_and_went_needs_nobody(desk: Bench) -> None:
    """An unmatched payment that was refunded does not wait for a person."""
    await desk.client()
    events = await events_of(desk, REFUNDED)
    unnamed = stripe_event("payment_intent.succeeded", DAY, intent(8800))
    outcome = await desk.deliver(unnamed)
    assert isinstance(outcome, Processed)
    assert desk.reviews.kinds == ["unmatched_payment"]
    outcome = await desk.deliver(events[1])
    assert isinstance(outcome, Ignored)
    assert "came and went back" in outcome.reason
    assert desk.reviews.kinds == []
    assert desk.memory.records["pi_1"].status == "refunded"
