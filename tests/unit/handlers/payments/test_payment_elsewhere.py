"""Payments that failed, whose invoices were settled past Stripe, and perhaps owed again: Invoice Ninja alone tells."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from handlers.outcome import Processed
from handlers.payments.paid_elsewhere import Healed, heal_all
from handlers.payments.reopened import LOOKS, Reopened, reopen_some
from tests.support.payments.payment_bench import FAILED_AT, Bench, bench, failed_intent, open_invoice, stripe_event
from tests.support.payments.stripe_story import Json, changed


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


def failed_invoice(number: str = "R-1", attempts: int = 1) -> Json:
    """A Stripe invoice that could not be charged."""
    body = {
        "id": "in_1",
        "object": "invoice",
        "status": "open",
        "currency": "eur",
        "amount_due": 10000,
        "amount_paid": 0,
        "attempt_count": attempts,
        "attempted": True,
        "created": FAILED_AT - 3600,
        "metadata": {"invoice_number": number},
    }
    return stripe_event("invoice.payment_failed", FAILED_AT + attempts, body)


async def bank_transfer(desk: Bench, invoice: str, amount: int = 100) -> str:
    """A person enters money that came by bank transfer; returns the id of the payment."""
    client_id = desk.invoice_row(invoice)["client_id"]
    part = [{"invoice_id": invoice, "amount": amount}]
    body = {"client_id": client_id, "amount": amount, "type_id": "1", "invoices": part}
    return str((await desk.post("/payments", body))["id"])


async def settled_otherwise(desk: Bench, event: Json) -> tuple[str, str]:
    """A payment that failed, and whose invoice was paid by bank transfer; returns the ids of invoice and transfer."""
    invoice = await open_invoice(desk)
    await desk.deliver(event)
    transfer = await bank_transfer(desk, invoice)
    await heal_all(desk.context)
    return invoice, transfer


async def test_bank_transfer_heals_by_the_clock(desk: Bench) -> None:
    """The due date comes back, our status says what happened, and a person is told to void the Stripe invoice."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_invoice())
    assert (await desk.ninja.invoice(invoice)).due_date == "2026-09-21"
    assert await heal_all(desk.context) == Healed(1, (), ())
    await bank_transfer(desk, invoice)
    healed = await heal_all(desk.context)
    assert healed == Healed(1, ("payment in_1: invoice R-1 was paid otherwise",), ())
    record = desk.memory.records["in_1"]
    assert (record.status, record.reason) == ("settled_otherwise", "invoice R-1 was paid otherwise")
    assert (record.due_date_set, record.due_date_before) == (None, None)
    assert (await desk.ninja.invoice(invoice)).due_date == "2026-12-31"
    assert "Stripe in_1: No longer overdue: the due date is 2026-12-31 again" in desk.notes()
    ((summary, _),) = desk.reviews.opened.values()
    assert "void the Stripe invoice of in_1" in summary
    assert await heal_all(desk.context) == Healed(0, (), ())


async def test_part_of_the_money_heals_nothing(desk: Bench) -> None:
    """What is still open is still overdue."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_invoice())
    await bank_transfer(desk, invoice, 40)
    assert await heal_all(desk.context) == Healed(1, (), ())
    assert desk.memory.records["in_1"].status == "overdue"


async def test_failure_told_after_the_transfer(desk: Bench) -> None:
    """The handler sees it as well: a paid invoice is not made overdue by another attempt of Stripe's."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_invoice())
    await bank_transfer(desk, invoice)
    outcome = await desk.deliver(failed_invoice(attempts=2))
    assert isinstance(outcome, Processed)
    assert "overdue, but invoice R-1 was paid otherwise" in outcome.reason
    assert desk.memory.records["in_1"].status == "settled_otherwise"
    assert (await desk.ninja.invoice(invoice)).due_date == "2026-12-31"
    assert desk.reviews.kinds == ["payment_problem"]
    voided = changed(failed_invoice(), type_="invoice.voided", created=FAILED_AT + 99, status="void")
    await desk.deliver({**voided, "id": "evt_void"})
    assert (desk.memory.records["in_1"].status, desk.reviews.kinds) == ("canceled", [])


async def test_declined_card_needs_nobody(desk: Bench) -> None:
    """Nothing charges an intent again by itself: only our status changes."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_intent())
    assert desk.memory.records["pi_1"].reason == "the payment failed: Your card was declined"
    await bank_transfer(desk, invoice)
    assert (await heal_all(desk.context)).healed == ("payment pi_1: invoice R-1 was paid otherwise",)
    assert desk.reviews.kinds == []


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("cancel", "invoice R-1 is cancelled in Invoice Ninja"),
        ("delete", "invoice R-1_Deleted is deleted in Invoice Ninja"),
    ],
)
async def test_invoice_that_is_gone(desk: Bench, action: str, why: str) -> None:
    """A cancelled or deleted invoice is not written, and not waited for."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_invoice())
    await desk.post("/invoices/bulk", {"action": action, "ids": [invoice]})
    before = dict(desk.invoice_row(invoice).data)
    assert (await heal_all(desk.context)).healed == (f"payment in_1: {why}",)
    assert dict(desk.invoice_row(invoice).data) == before


async def test_invoice_that_was_purged(desk: Bench) -> None:
    """An invoice that Invoice Ninja does not know any more is not asked for again."""
    await open_invoice(desk)
    await desk.deliver(failed_intent())
    desk.memory.records["pi_1"] = replace(desk.memory.records["pi_1"], invoice_id="AAAAAAAAAA")
    assert (await heal_all(desk.context)).healed == ("payment pi_1: invoice R-1 is not in Invoice Ninja any more",)
    assert desk.memory.records["pi_1"].status == "settled_otherwise"


async def test_draft_is_waited_for(desk: Bench) -> None:
    """Nothing is owed on a draft yet."""
    await open_invoice(desk, draft=True)
    await desk.deliver(failed_intent())
    assert await heal_all(desk.context) == Healed(1, (), ())


async def test_what_cannot_be_read_waits_for_the_next_round(desk: Bench) -> None:
    """One invoice that cannot be read does not stop the others."""
    client_id = await desk.client()
    first, second = await desk.invoice(client_id, "100", "R-1"), await desk.invoice(client_id, "90", "R-2")
    await desk.deliver_all([failed_invoice(), failed_intent("R-2")])
    await bank_transfer(desk, first)
    await bank_transfer(desk, second, 90)
    desk.faults.add(path=f"/invoices/{first}", status=500, times=1)
    healed = await heal_all(desk.context)
    assert (len(healed.healed), len(healed.problems)) == (1, 1)
    assert "500" in healed.problems[0]


async def test_settled_meanwhile(desk: Bench) -> None:
    """What its own event settled between the look and the lock is left alone."""
    invoice = await open_invoice(desk)
    await desk.deliver(failed_intent())
    await bank_transfer(desk, invoice)
    stale = desk.memory.records["pi_1"]

    async def missed(_: object) -> list[object]:
        return [stale]

    desk.memory.missed = missed  # type: ignore[assignment,method-assign]  # an old answer
    await heal_all(desk.context)
    assert await heal_all(desk.context) == Healed(1, (), ())


async def test_nothing_without_payments(desk: Bench) -> None:
    """A worker that takes no payments has nothing to look at, and nothing to do by the clock."""
    context = replace(desk.context, payments=None)
    assert await heal_all(context) == Healed(0, (), ())
    assert await reopen_some(context) == Reopened(0, (), ())


async def test_transfer_that_is_deleted_again(desk: Bench) -> None:
    """The invoice is overdue again, with its note and without the review; and another transfer heals it again."""
    invoice, transfer = await settled_otherwise(desk, failed_invoice())
    assert await reopen_some(desk.context) == Reopened(1, (), ())
    await desk.ninja.delete_payment(transfer)
    again = await reopen_some(desk.context)
    told = "payment in_1: invoice R-1 is owed again: the Stripe invoice is overdue (invoice R-1)"
    assert again == Reopened(1, (f"{told}; invoice R-1 is overdue since 2026-09-21",), ())
    record = desk.memory.records["in_1"]
    assert (record.status, record.due_date_before, record.due_date_set) == ("overdue", "2026-12-31", "2026-09-21")
    assert (await desk.ninja.invoice(invoice)).due_date == "2026-09-21"
    assert desk.reviews.kinds == []
    assert await reopen_some(desk.context) == Reopened(0, (), ())
    desk.clock.wait(2)
    await bank_transfer(desk, invoice)
    assert (await heal_all(desk.context)).healed == ("payment in_1: invoice R-1 was paid otherwise",)
    assert (await desk.ninja.invoice(invoice)).due_date == "2026-12-31"


async def test_declined_card_is_waited_for_again(desk: Bench) -> None:
    """Also when only a part of the invoice is owed again."""
    invoice, transfer = await settled_otherwise(desk, failed_intent())
    await desk.ninja.delete_payment(transfer)
    desk.clock.wait(2)
    await bank_transfer(desk, invoice, 40)
    assert len((await reopen_some(desk.context)).reopened) == 1
    record = desk.memory.records["pi_1"]
    assert (record.status, record.reason) == ("failed", "the payment failed: Your card was declined")


async def test_few_at_a_time_and_each_in_its_turn(desk: Bench) -> None:
    """A round makes a bounded number of requests, and the next one goes on with those whose look is longest ago."""
    await settled_otherwise(desk, failed_intent())
    kept = desk.memory.records["pi_1"]
    desk.memory.records = {f"pi_{n}": replace(kept, identity=f"pi_{n}") for n in range(LOOKS + 3)}
    desk.memory.records["pi_0"] = replace(kept, identity="pi_0", invoice_id="AAAAAAAAAA")
    desk.faults.requests.clear()
    assert await reopen_some(desk.context) == Reopened(LOOKS, (), ())
    assert len(desk.faults.requests) == LOOKS
    assert desk.memory.given_out == [f"pi_{n}" for n in range(LOOKS)]
    await reopen_some(desk.context)
    assert desk.memory.given_out[-LOOKS:] == ["pi_10", "pi_11", "pi_12", *(f"pi_{n}" for n in range(LOOKS - 3))]


async def test_owed_again_and_its_events_are_gone(desk: Bench) -> None:
    """What nobody can tell without the bodies of its events, a person is told."""
    _, transfer = await settled_otherwise(desk, failed_invoice())
    await desk.ninja.delete_payment(transfer)
    (events,) = desk.history.events.values()
    events[:] = [replace(event, payload={}) for event in events]
    (told,) = (await reopen_some(desk.context)).reopened
    assert "invoice R-1 is owed again, but stripe:invoice:in_1: older events of this payment were removed" in told
    ((summary, details),) = desk.reviews.opened.values()
    assert "set STRIPE_API_KEY" in summary
    assert details == {"payment": "in_1", "invoice": "R-1"}


async def test_look_that_fails_comes_again(desk: Bench) -> None:
    """It is named, and has its turn in another round."""
    _, transfer = await settled_otherwise(desk, failed_invoice())
    await desk.ninja.delete_payment(transfer)
    desk.faults.add(path="/invoices/", status=500, times=1)
    (problem,) = (await reopen_some(desk.context)).problems
    assert problem.startswith("payment in_1: invoiceninja: GET")
    assert len((await reopen_some(desk.context)).reopened) == 1
