"""Failures: the invoice becomes overdue, with notes, and is healed by a later success."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from tests.support.payments.payment_bench import Bench, bench, stripe_event
from tests.support.payments.stripe_story import Json

FAILED_AT = 1_790_003_603
DAY = "2026-09-21"


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


def stripe_invoice(kind: str, created: int, status: str = "open", **fields: Any) -> Json:
    """An event of the Stripe invoice in_1, which names the invoice R-1."""
    body = {
        "id": "in_1",
        "object": "invoice",
        "status": status,
        "currency": "eur",
        "amount_due": 10000,
        "amount_paid": 10000 if status == "paid" else 0,
        "attempt_count": 1,
        "attempted": True,
        "created": FAILED_AT - 3600,
        "metadata": {"invoice_number": "R-1"},
    }
    return stripe_event(f"invoice.{kind}", created, {**body, **fields})


FAILED = stripe_invoice("payment_failed", FAILED_AT)
SETTLED = stripe_invoice("paid", FAILED_AT + 300_000, "paid")


async def due_date(desk: Bench, invoice: str) -> str:
    """The due date as Invoice Ninja shows it."""
    return (await desk.ninja.invoice(invoice)).due_date


async def open_invoice(desk: Bench, due: str = "2026-12-31", **fields: Any) -> str:
    """A sent invoice over 100 EUR."""
    return await desk.invoice(await desk.client(), "100.00", "R-1", due_date=due, **fields)


async def test_failure_makes_overdue_and_success_heals(desk: Bench) -> None:
    """The due date is the day of the failure, the one before is kept and comes back."""
    invoice = await open_invoice(desk)
    outcome = await desk.deliver(FAILED)
    assert isinstance(outcome, Processed)
    assert await due_date(desk, invoice) == DAY
    record = desk.memory.records["in_1"]
    assert (record.status, record.due_date_before, record.due_date_set) == ("overdue", "2026-12-31", DAY)
    assert [note for note in desk.notes() if "attempt 1" in note]
    assert [note for note in desk.notes() if "the due date before was 2026-12-31" in note]
    await desk.deliver(SETTLED)
    assert await due_date(desk, invoice) == "2026-12-31"
    assert desk.memory.records["in_1"].due_date_set is None


async def test_failure_told_after_the_success_changes_nothing(desk: Bench) -> None:
    """What failed before is of no interest when it is paid."""
    invoice = await open_invoice(desk)
    await desk.deliver_all([SETTLED, FAILED])
    assert await due_date(desk, invoice) == "2026-12-31"


async def test_earlier_failure_told_later_counts(desk: Bench) -> None:
    """The first failure decides on the day, in any order; the original due date stays known."""
    invoice = await open_invoice(desk)
    await desk.deliver(stripe_invoice("payment_failed", FAILED_AT + 200_000, attempt_count=2))
    await desk.deliver(FAILED)
    assert await due_date(desk, invoice) == DAY
    await desk.deliver(SETTLED)
    assert await due_date(desk, invoice) == "2026-12-31"


async def test_invoice_that_is_overdue_already_stays(desk: Bench) -> None:
    """A due date before the failure is left alone."""
    invoice = await open_invoice(desk, due="2026-09-01")
    outcome = await desk.deliver(FAILED)
    assert isinstance(outcome, Ignored)
    assert await due_date(desk, invoice) == "2026-09-01"
    assert desk.memory.records["in_1"].due_date_set is None


async def test_missing_due_date_comes_back_as_missing(desk: Bench) -> None:
    """An invoice without a due date gets one, and loses it again."""
    invoice = await open_invoice(desk)
    await desk.ninja.update_invoice(invoice, {"due_date": ""})
    await desk.deliver(FAILED)
    assert await due_date(desk, invoice) == DAY
    await desk.deliver(SETTLED)
    assert await due_date(desk, invoice) == ""


@pytest.mark.parametrize("moment", ["while it is overdue", "before it is healed"])
async def test_date_of_a_person_is_respected(desk: Bench, moment: str) -> None:
    """Who gives the invoice another due date meanwhile is right."""
    invoice = await open_invoice(desk)
    await desk.deliver(FAILED)
    await desk.ninja.update_invoice(invoice, {"due_date": "2026-11-11"})
    if moment == "while it is overdue":
        await desk.deliver(stripe_invoice("payment_failed", FAILED_AT + 200_000))
    else:
        await desk.deliver(SETTLED)
    assert await due_date(desk, invoice) == "2026-11-11"


async def test_draft_is_not_owed(desk: Bench) -> None:
    """A draft is not made overdue."""
    invoice = await open_invoice(desk, draft=True)
    await desk.deliver(FAILED)
    assert await due_date(desk, invoice) == "2026-12-31"


async def test_cancelled_invoice_is_never_written(desk: Bench) -> None:
    """A PUT would make it paid."""
    invoice = await open_invoice(desk)
    await desk.ninja.act_on_invoices("cancel", [invoice])
    outcome = await desk.deliver(FAILED)
    assert isinstance(outcome, Ignored)
    assert "is cancelled" in outcome.reason
    assert desk.invoice_row(invoice)["status_id"] == "5"


async def test_locked_invoice_is_noted(desk: Bench) -> None:
    """Where invoices are locked when sent, a note has to do; and so it is when healing."""
    invoice = await open_invoice(desk)
    desk.state.company["settings"]["lock_invoices"] = "when_sent"
    await desk.deliver(FAILED)
    assert await due_date(desk, invoice) == "2026-12-31"
    assert [note for note in desk.notes() if "cannot be changed" in note]
    desk.state.company["settings"]["lock_invoices"] = "off"
    await desk.deliver(stripe_invoice("payment_failed", FAILED_AT + 1))
    assert await due_date(desk, invoice) == DAY
    desk.state.company["settings"]["lock_invoices"] = "when_sent"
    await desk.deliver(SETTLED)
    assert await due_date(desk, invoice) == DAY
    assert [note for note in desk.notes() if note.endswith("unable to be modified") and "No longer" in note]


async def test_failure_without_a_name_changes_nothing(desk: Bench) -> None:
    """A failed payment that names no invoice is only remembered."""
    await open_invoice(desk)
    outcome = await desk.deliver(stripe_invoice("payment_failed", FAILED_AT, metadata={}))
    assert outcome == Ignored(Code.PAYMENT_OVERDUE, "the Stripe invoice is overdue")
    assert desk.memory.records["in_1"].status == "overdue"


async def test_failure_of_an_unknown_invoice_changes_nothing(desk: Bench) -> None:
    """The reason says which invoice is not there."""
    outcome = await desk.deliver(FAILED)
    assert isinstance(outcome, Ignored)
    assert "no invoice with the number 'R-1'" in outcome.reason


async def test_failure_that_names_two_invoices_changes_nothing(desk: Bench) -> None:
    """Several invoices on one failed payment are for nobody to choose from."""
    await open_invoice(desk)
    session = {"object": "checkout.session", "payment_intent": "pi_1", "payment_status": "unpaid", "created": 1}
    body = {**session, "currency": "eur"}
    await desk.deliver(
        stripe_event(
            "checkout.session.async_payment_failed", 1, {**body, "id": "cs_1", "metadata": {"invoice_number": "R-1"}}
        )
    )
    outcome = await desk.deliver(
        stripe_event(
            "checkout.session.async_payment_failed", 2, {**body, "id": "cs_2", "metadata": {"invoice_number": "R-2"}}
        )
    )
    assert "several invoices are written on it" in getattr(outcome, "reason", "")


async def test_paid_past_stripe_heals_too(desk: Bench) -> None:
    """Cash for a Stripe invoice is a payment of its own, and the invoice is no longer overdue."""
    invoice = await open_invoice(desk)
    await desk.deliver(FAILED)
    await desk.deliver(stripe_invoice("paid", FAILED_AT + 99, "paid", amount_paid_off_stripe=10000))
    assert [row["number"] for row in desk.payments()] == ["in_1"]
    assert (await due_date(desk, invoice), desk.invoice_row(invoice)["status_id"]) == ("2026-12-31", "4")


async def test_payment_takes_the_due_date_over(desk: Bench) -> None:
    """The Stripe invoice made it overdue; its payment heals it when the two are joined, in any order."""
    invoice = await open_invoice(desk)
    await desk.deliver(FAILED)
    link = {"id": "inpay_1", "object": "invoice_payment", "invoice": "in_1", "status": "paid", "amount_paid": 10000}
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    await desk.deliver(
        stripe_event("invoice_payment.paid", FAILED_AT + 9, {**link, "currency": "eur", "payment": payment})
    )
    assert await due_date(desk, invoice) == "2026-12-31"
    assert desk.memory.records["in_1"].status == "by_its_payments"
    assert desk.memory.records["pi_1"].payment_number == "pi_1"
    await desk.deliver(SETTLED)
    assert [row["number"] for row in desk.payments()] == ["pi_1"]
