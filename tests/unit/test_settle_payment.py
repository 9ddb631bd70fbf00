"""What becomes of a payment: amounts, invoices in every state, guards of Invoice Ninja, modes and bad input."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import NeedsPerson, Rejected
from handlers.event import Work
from handlers.outcome import Ignored, Processed
from handlers.payment_amounts import open_amount
from handlers.settle_payment import settle_payment
from mappings.ninja import Invoice, PaymentDraft
from mappings.payment_types import payment_type
from middleware.sandbox.invoiceninja import reference
from tests.payments import Bench, bench, intent, stripe_event
from tests.stripe_stories import Json, changed, story

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


def paid(amount: int, key: str = "pi_1", currency: str = "eur", created: int = DAY, **metadata: str) -> Json:
    """The event of a payment that succeeded."""
    return stripe_event("payment_intent.succeeded", created, intent(amount, key, currency, **metadata))


async def open_invoice(desk: Bench, amount: str = "100.00", currency: str = "EUR", **fields: Any) -> str:
    """A sent invoice of a new client, number R-1."""
    return await desk.invoice(await desk.client(currency), amount, "R-1", **fields)


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
        assert outcome == Processed(f"entered by a person as payment {made['number']}")
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


class TestDoor:
    """Events that change nothing, and why."""

    async def test_without_payments_nothing_is_done(self, desk: Bench) -> None:
        """A worker without the means leaves payments alone."""
        made = desk.store("stripe", "payment_intent.succeeded", "stripe:payment:pi_1", paid(100), DAY)
        context = replace(desk.context, payments=None)
        outcome = await settle_payment(Work("stripe:payment:pi_1", (made,), made), context)
        assert isinstance(outcome, Ignored)

    @pytest.mark.parametrize(("live", "count"), [(None, 1), (True, 1), (False, 0)])
    async def test_mode_decides(self, desk: Bench, live: bool | None, count: int) -> None:
        """A live event counts where live events are meant, or where nothing is said."""
        desk.live = live
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        assert len(desk.payments()) == count

    async def test_test_event_in_a_history_does_not_count(self, desk: Bench) -> None:
        """An event of the other mode beside ours is left out of the facts."""
        await open_invoice(desk)
        desk.store("stripe", "payment_intent.succeeded", "stripe:payment:pi_1", paid(99) | {"livemode": False}, DAY)
        desk.store("operator", "payment.match", "stripe:payment:pi_1", {"invoice": "R-1"})
        outcome = await desk.converge("stripe:payment:pi_1")
        assert outcome == Ignored("no event of this payment is for us")

    async def test_stripe_invoice_of_the_other_mode_is_nothing(self, desk: Bench) -> None:
        """The same for the subject of a Stripe invoice."""
        event = story("c2_invoice_overdue").events[0] | {"livemode": False}
        subject = "stripe:invoice:in_1"
        desk.store("stripe", event["type"], subject, event, DAY)
        desk.store("operator", "payment.match", subject, {"invoice": "R-1"})
        assert await desk.converge(subject) == Ignored("no event of this Stripe invoice is for us")

    async def test_unreadable_event_needs_a_person(self, desk: Bench) -> None:
        """What cannot be read is let in, and dies where a person sees it."""
        broken = stripe_event("charge.succeeded", DAY, {"id": 7, "object": "charge"})
        error = await desk.deliver(broken)
        assert isinstance(error, NeedsPerson)
        assert "discard the event" in error.hint

    async def test_contradiction_is_reviewed_until_it_is_gone(self, desk: Bench) -> None:
        """A refund in another currency is noted for a person; the payment is recorded."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        refund = {"id": "re_1", "object": "refund", "amount": 5, "currency": "usd", "status": "succeeded"}
        told = {**refund, "payment_intent": "pi_1", "charge": "ch_1", "created": DAY}
        await desk.deliver(stripe_event("refund.created", DAY + 9, told))
        assert desk.reviews.kinds == ["payment_problem"]
        await desk.deliver(stripe_event("refund.updated", DAY + 99, {**told, "currency": "eur", "amount": 500}))
        assert desk.reviews.kinds == []
        assert desk.payments()[0]["refunded"] == 5


class TestHistory:
    """All events of a payment count, not only those that are due."""

    async def test_removed_events_need_stripe_or_a_person(self, desk: Bench) -> None:
        """A refund that is missing would look like money that came back."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        (told,) = desk.history.events["stripe:payment:pi_1"]
        desk.history.events["stripe:payment:pi_1"] = [replace(told, payload={})]
        error = await desk.converge("stripe:payment:pi_1")
        assert isinstance(error, NeedsPerson)
        assert "RETENTION_DAYS" in error.reason
        assert "STRIPE_API_KEY" in error.hint

    async def test_what_is_no_event_at_all_needs_a_person(self, desk: Bench) -> None:
        """Something without id and type stands in the history."""
        desk.store("stripe", "x", "stripe:payment:pi_1", {"object": "event"}, DAY)
        error = await desk.converge("stripe:payment:pi_1")
        assert isinstance(error, NeedsPerson)
        assert "cannot be read" in error.reason

    async def test_blank_address_is_nobodys(self, desk: Bench) -> None:
        """A client without an address is not found by an empty one."""
        await desk.client(email=" ")
        assert await desk.ninja.clients_with_email("  ") == []


class TestKind:
    """How it was paid."""

    async def test_kind_follows_when_the_charge_is_known(self, desk: Bench) -> None:
        """The intent comes first and knows no card; the charge tells which it was."""
        await open_invoice(desk)
        await desk.deliver(paid(10000, invoice_number="R-1"))
        assert desk.payments()[0]["type_id"] == ""
        await desk.deliver(charge_paid(10000, invoice_number="R-1"))
        assert desk.payments()[0]["type_id"] == "6"

    async def test_own_gateway_is_remembered(self, desk: Bench) -> None:
        """Payments of Invoice Ninja's own gateway are in the record, for people to see."""
        await desk.deliver_all(story("a3_invoice_ninja_own_gateway").events)
        (record,) = desk.memory.records.values()
        assert (record.status, record.payment_id) == ("own_gateway", "")


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ({"type": "card", "card": {"brand": "visa"}}, "5"),
        ({"type": "card", "card": {"brand": "eftpos_au"}}, "12"),
        ({"type": "card", "card": None}, "12"),
        ({"type": "card_present", "card_present": {"brand": "amex"}}, "7"),
        ({"type": "sepa_debit"}, "29"),
        ({"type": "us_bank_account"}, "4"),
        ({"type": "something_new"}, ""),
        (None, ""),
    ],
)
def test_kinds_of_payments(details: Json | None, kind: str) -> None:
    """What Invoice Ninja knows no kind for stays without one."""
    charge = {"object": "charge", "status": "succeeded", "created": 5, "payment_method_details": details}
    failed = {**charge, "status": "failed", "created": 9, "payment_method_details": {"type": "paypal"}}
    intent_with_charges = {"object": "payment_intent", "charges": {"object": "list", "data": [failed, charge]}}
    assert payment_type([{"data": {"object": intent_with_charges}}, {**charge, "created": None}]) == kind


def test_deleted_invoice_takes_nothing() -> None:
    """Not even what its balance says."""
    invoice = Invoice(
        id="i1",
        number="R-1_Deleted",
        client_id="c1",
        status_id="2",
        amount=Decimal(5),
        balance=Decimal(5),
        paid_to_date=Decimal(0),
        total_taxes=Decimal(0),
        date="",
        due_date="",
        lines=(),
        is_deleted=True,
    )
    assert open_amount(invoice) == 0


async def test_two_workers_at_once_make_one_payment(desk: Bench) -> None:
    """A Stripe invoice and its payment, worked on at the same time, make one payment and one record of it."""
    events = story("c1_invoice_new").events
    invoice = await desk.invoice(await desk.client(), "99.00", "2026-0045")
    number = {"invoice_number": "2026-0045"}
    told = [changed(one, metadata=number) if one["type"].startswith("invoice.") else one for one in events]
    subjects = {desk.store_told(one) for one in told}
    await asyncio.gather(*(desk.converge(subject) for subject in subjects for _ in range(3)))
    assert len(desk.payments()) == 1
    assert (desk.invoice_row(invoice)["status_id"], desk.invoice_row(invoice)["due_date"]) == ("4", "2026-12-31")


def charge_paid(amount: int, **metadata: str) -> Json:
    """The event of a charge of pi_1 by card."""
    charge = {
        "id": "ch_9",
        "object": "charge",
        "payment_intent": "pi_1",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "currency": "eur",
        "status": "succeeded",
        "created": DAY,
        "metadata": metadata,
        "payment_method_details": {"type": "card", "card": {"brand": "mastercard"}},
    }
    return stripe_event("charge.succeeded", DAY, charge)
