"""Which events count, what a history must hold, and how a payment was made."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.errors import NeedsPerson
from handlers.event import Work
from handlers.outcome import Ignored
from handlers.payments.amounts import open_amount
from handlers.payments.settle import settle_payment
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice
from mappings.invoiceninja.payment_types import payment_type
from tests.support.payments.payment_bench import Bench, bench, charge_paid, open_invoice, paid, stripe_event
from tests.support.payments.stripe_story import Json, changed, story

DAY = 1_790_000_000


@pytest.fixture
async def desk() -> AsyncIterator[Bench]:
    """A bench with an empty Invoice Ninja."""
    async with bench() as made:
        yield made


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
        assert outcome == Ignored(Code.NO_PAYMENT_EVENT, "no event of this payment is for us")

    async def test_stripe_invoice_of_the_other_mode_is_nothing(self, desk: Bench) -> None:
        """The same for the subject of a Stripe invoice."""
        event = story("c2_invoice_overdue").events[0] | {"livemode": False}
        subject = "stripe:invoice:in_1"
        desk.store("stripe", event["type"], subject, event, DAY)
        desk.store("operator", "payment.match", subject, {"invoice": "R-1"})
        assert await desk.converge(subject) == Ignored(
            Code.NO_PAYMENT_EVENT, "no event of this Stripe invoice is for us"
        )

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
