"""What becomes of a payment: amounts, invoices in every state, guards of Invoice Ninja, modes and bad input."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import NeedsPerson, Rejected
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from mappings.invoiceninja.models import PaymentDraft
from middleware.lab.sandbox.invoiceninja import reference
from tests.support.payments.payment_bench import Bench, bench, charge_paid, open_invoice, paid

DAY = 1_790_000_000


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


@pytest.fixture
def uganda() -> Iterator[None]:
    """Invoice Ninja knows the Ugandan shilling."""
    shilling = reference.Currency("902", "UGX", "Ugandan Shilling", "USh", 2, ",", ".", swap_currency_symbol=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(reference.CURRENCIES, "902", shilling)
        yield


class TestAmounts:
    """How much is recorded, and where it goes."""

    async def test_less_than_the_invoice_makes_it_partial(self, desk: Bench) -> None:
        """A part is recorded; the rest stays open."""
        invoice = await open_invoice(desk)
        await desk.deliver(paid(4000, invoice_number="R-1"))
        row = desk.invoice_row(invoice)
        assert (row["status_id"], row["balance"], row["paid_to_date"]) == ("3", 60, 40)

    async def test_more_than_the_invoice_stays_as_credit(self, desk: Bench) -> None:
        """The rest is the client's unapplied credit, and that is said."""
        invoice = await open_invoice(desk)
        outcome = await desk.deliver(paid(12000, invoice_number="R-1"))
        (row,) = desk.payments()
        assert (row["amount"], row["applied"], desk.invoice_row(invoice)["status_id"]) == (120, 100, "4")
        assert isinstance(outcome, Processed)
        assert "20.00 EUR are more than the invoice was open: they stay as the client's unapplied" in outcome.reason
        assert any("20.00 EUR are more" in note for note in desk.notes())
        assert "20.00 EUR" in desk.memory.records["pi_1"].reason

    async def test_second_payment_of_a_paid_invoice_is_all_credit(self, desk: Bench) -> None:
        """A customer who pays twice has a credit."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        outcome = await desk.deliver(paid(10000, "pi_2", invoice_number="R-1"))
        assert [(row["amount"], row["applied"]) for row in desk.payments()] == [(100, 100), (100, 0)]
        assert "100.00 EUR are more than the invoice was open" in getattr(outcome, "reason", "")

    async def test_draft_becomes_sent_and_paid(self, desk: Bench) -> None:
        """Whoever pays a draft has seen it: Invoice Ninja marks it sent."""
        invoice = await open_invoice(desk, draft=True)
        await desk.deliver(paid(10000, invoice_ninja_invoice_id=invoice))
        assert desk.invoice_row(invoice)["status_id"] == "4"

    async def test_amount_that_the_precision_cannot_hold_needs_a_person(self, desk: Bench) -> None:
        """10.45 HUF is money at Stripe, but Invoice Ninja keeps whole forints."""
        await open_invoice(desk, "10", "HUF")
        error = await desk.deliver(paid(1045, currency="huf", invoice_number="R-1"))
        assert isinstance(error, NeedsPerson)
        assert "10.45 HUF has more decimals than the 0" in error.reason
        assert desk.payments() == []
        assert desk.memory.records["pi_1"].status == "needs_person"

    @pytest.mark.usefixtures("uganda")
    async def test_doubtful_currency_is_entered_by_a_person(self, desk: Bench) -> None:
        """UGX is refused; entered by hand with the payment's id it is found again."""
        invoice = await open_invoice(desk, "10000", "UGX")
        error = await desk.deliver(paid(1_000_000, currency="ugx", invoice_number="R-1"))
        assert isinstance(error, NeedsPerson)
        assert "pi_1 as transaction reference" in error.hint
        client = desk.invoice_row(invoice)["client_id"]
        used = [{"invoice_id": invoice, "amount": 10000}]
        body = {"client_id": client, "amount": 10000, "transaction_reference": "pi_1", "invoices": used}
        made = await desk.post("/payments", body)
        outcome = await desk.converge("stripe:payment:pi_1")
        assert outcome == Processed(Code.PAYMENT_ENTERED_BY_PERSON, f"entered by a person as payment {made['number']}")
        assert len(desk.payments()) == 1

    async def test_nothing_is_no_payment(self, desk: Bench) -> None:
        """A payment over 0 changes nothing."""
        await open_invoice(desk)
        outcome = await desk.deliver(paid(0, invoice_number="R-1"))
        assert isinstance(outcome, Ignored)
        assert desk.payments() == []

    @pytest.mark.parametrize("amount", [-1, 10**30, 12.5, "100"])
    async def test_impossible_amount_needs_a_person(self, desk: Bench, amount: Any) -> None:
        """Negative, huge and broken amounts are no money."""
        await open_invoice(desk)
        error = await desk.deliver(paid(amount, invoice_number="R-1"))
        assert isinstance(error, NeedsPerson)
        assert "cannot be read" in error.reason
        assert desk.payments() == []

    async def test_date_is_that_of_the_payment_where_the_company_is(self, desk: Bench) -> None:
        """23:30 UTC is the next day in Brussels."""
        desk.rule(timezone="Europe/Brussels")
        await open_invoice(desk)
        await desk.deliver(paid(10000, created=1_790_033_400, invoice_number="R-1"))
        assert desk.payments()[0]["date"] == "2026-09-22"


class TestGuards:
    """What Invoice Ninja does not protect us from."""

    async def test_equal_payments_are_kept_apart(self, desk: Bench) -> None:
        """Two equal payments of a client do not meet the one-second guard."""
        await open_invoice(desk, "300.00")
        await desk.deliver(paid(10000, invoice_number="R-1"))
        await desk.deliver(paid(10000, "pi_2", invoice_number="R-1"))
        assert len(desk.payments()) == 2
        assert [entry for entry in desk.faults.requests if entry.status == 400] == []

    async def test_clock_of_another_worker_is_not_waited_for(self, desk: Bench) -> None:
        """An equal payment "in the future" was sent by a worker whose clock is ahead."""
        await open_invoice(desk, "300.00")
        await desk.deliver(paid(10000, invoice_number="R-1"))
        ahead = desk.clock() + timedelta(hours=1)
        desk.memory.records["pi_1"] = replace(desk.memory.records["pi_1"], posted_at=ahead)
        desk.clock.wait(2)
        await desk.deliver(paid(10000, "pi_2", invoice_number="R-1"))
        assert len(desk.payments()) == 2
        assert desk.clock() < ahead

    async def test_payments_are_sent_under_locks(self, desk: Bench) -> None:
        """The payment, its client and the company's payments are locked while it is sent."""
        await open_invoice(desk)
        create = desk.ninja.create_payment

        async def watched(draft: PaymentDraft) -> Any:
            held = list(desk.locks.held)
            assert held[0] == "payment stripe:payment:pi_1"
            assert [name.split()[0] for name in held] == ["payment", "client", "payments"]
            return await create(draft)

        desk.ninja.create_payment = watched  # type: ignore[method-assign]  # a look over its shoulder
        await desk.deliver(paid(10000, invoice_number="R-1"))
        assert len(desk.payments()) == 1

    async def test_no_receipt_is_mailed_unless_wanted(self, desk: Bench) -> None:
        """`email_receipt` decides, whatever the company's default is."""
        await open_invoice(desk, "300.00")
        await desk.deliver(paid(10000, invoice_number="R-1"))
        assert desk.state.mails == []
        desk.rule(email_receipt=True)
        await desk.deliver(paid(10100, "pi_2", invoice_number="R-1"))
        assert [mail.kind for mail in desk.state.mails] == ["payment_receipt"]

    @pytest.mark.parametrize("reference_id", ["ch_9", "pi_1"])
    async def test_recorded_by_somebody_else_is_adopted(self, desk: Bench, reference_id: str) -> None:
        """A payment that stands there under the charge's or the intent's id is not doubled."""
        invoice = await open_invoice(desk)
        used = [{"invoice_id": invoice, "amount": 100}]
        body = {"client_id": desk.invoice_row(invoice)["client_id"], "amount": 100, "invoices": used}
        await desk.post("/payments", {**body, "transaction_reference": reference_id, "private_notes": "by hand"})
        await desk.deliver(charge_paid(10000, invoice_number="R-1"))
        (row,) = desk.payments()
        assert row["private_notes"] == "by hand\nStripe pi_1"
        assert row["type_id"] == ""
        assert desk.memory.records["pi_1"].payment_number == row["number"]

    async def test_recorded_without_a_name_is_found_by_its_reference(self, desk: Bench) -> None:
        """A person recorded it; nothing on the payment names an invoice, and nothing waits for a person."""
        invoice = await open_invoice(desk)
        used = [{"invoice_id": invoice, "amount": 100}]
        body = {"client_id": desk.invoice_row(invoice)["client_id"], "amount": 100, "invoices": used}
        await desk.post("/payments", {**body, "transaction_reference": "pi_1"})
        outcome = await desk.deliver(paid(10000))
        assert isinstance(outcome, Processed)
        assert desk.memory.records["pi_1"].invoice_id == invoice
        assert desk.reviews.kinds == []

    async def test_recorded_over_another_amount_needs_a_person(self, desk: Bench) -> None:
        """Two different amounts for the same money are for a person to judge."""
        invoice = await open_invoice(desk)
        body = {"client_id": desk.invoice_row(invoice)["client_id"], "amount": 50, "transaction_reference": "pi_1"}
        await desk.post("/payments", body)
        error = await desk.deliver(paid(10000, invoice_number="R-1"))
        assert isinstance(error, NeedsPerson)
        assert "is over 50.00 EUR, Stripe's pi_1 over 100.00 EUR" in error.reason

    async def test_recorded_for_another_client_needs_a_person(self, desk: Bench) -> None:
        """The invoice's client and the payment's client must be the same."""
        await open_invoice(desk)
        body = {"client_id": await desk.client(), "amount": 100, "transaction_reference": "pi_1"}
        await desk.post("/payments", body)
        error = await desk.deliver(paid(10000, invoice_number="R-1"))
        assert isinstance(error, NeedsPerson)
        assert "is recorded for client" in error.reason

    async def test_what_a_crash_left_unapplied_is_applied_once(self, desk: Bench) -> None:
        """A payment with applied 0 is used for its invoice, and not again."""
        invoice = await open_invoice(desk)
        client = desk.invoice_row(invoice)["client_id"]
        await desk.ninja.create_payment(PaymentDraft("pi_1", client, Decimal(100), "2026-09-21", "pi_1"))
        event = paid(10000, invoice_number="R-1")
        outcome = await desk.deliver(event)
        await desk.deliver(event)
        (row,) = desk.payments()
        assert (row["applied"], desk.invoice_row(invoice)["balance"]) == (100, 0)
        assert "used for invoice R-1" in getattr(outcome, "reason", "")

    async def test_invoice_paid_at_this_moment_is_looked_at_again(self, desk: Bench) -> None:
        """Somebody else pays between our look and our write: the rest becomes credit."""
        invoice = await open_invoice(desk)
        create = desk.ninja.create_payment

        async def late(draft: PaymentDraft) -> Any:
            desk.ninja.create_payment = create  # type: ignore[method-assign]  # once
            await desk.post("/invoices/bulk", {"action": "mark_paid", "ids": [invoice]})
            return await create(draft)

        desk.ninja.create_payment = late  # type: ignore[method-assign]  # somebody is faster
        await desk.deliver(paid(10000, invoice_number="R-1"))
        mine = next(row for row in desk.payments() if row["number"] == "pi_1")
        assert (mine["amount"], mine["applied"]) == (100, 0)

    async def test_refusal_that_is_nobodys_doing_is_told(self, desk: Bench) -> None:
        """A 422 on an invoice that did not change ends the event with the server's words."""
        await open_invoice(desk)
        body = {"message": "The given data was invalid.", "errors": {"date": ["no"]}}
        desk.faults.add(method="POST", path="/payments$", status=422, body=body)
        error = await desk.deliver(paid(10000, invoice_number="R-1"))
        assert isinstance(error, Rejected)
        assert error.names("date")

    async def test_number_of_a_payment_that_is_gone_for_us_is_told(self, desk: Bench) -> None:
        """The number is taken, and the payment behind it cannot be found."""
        await open_invoice(desk)
        body = {"message": "The given data was invalid.", "errors": {"number": ["The number has already been taken."]}}
        desk.faults.add(method="POST", path="/payments$", status=422, body=body)
        error = await desk.deliver(paid(10000, invoice_number="R-1"))
        assert isinstance(error, Rejected)

    async def test_deleted_payment_waits_for_a_person(self, desk: Bench) -> None:
        """Who deletes a payment means something by it: it is not recorded again by itself."""
        invoice = await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        await desk.ninja.delete_payment(desk.payments()[0].id)
        desk.clock.wait(60)
        outcome = await desk.deliver(paid(10000, created=DAY + 5, invoice_number="R-1"))
        assert "payment pi_1 was deleted in Invoice Ninja" in getattr(outcome, "reason", "")
        assert desk.payments() == []
        assert desk.reviews.kinds == ["unmatched_payment"]
        await desk.decide("pi_1", "match", invoice="R-1")
        assert [row["number"] for row in desk.payments()] == ["pi_1-2"]
        assert desk.invoice_row(invoice)["balance"] == 0
        assert desk.reviews.kinds == []

    async def test_record_of_a_payment_that_was_purged_is_looked_up(self, desk: Bench) -> None:
        """Our memory may name a payment that is no more: it is recorded anew."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        desk.memory.records["pi_1"] = replace(desk.memory.records["pi_1"], payment_id="gone000000")
        await desk.converge("stripe:payment:pi_1")
        assert [row["number"] for row in desk.payments()] == ["pi_1"]
        assert desk.memory.records["pi_1"].payment_id == desk.payments()[0].id
