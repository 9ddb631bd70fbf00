"""With a key the objects at Stripe are read again: what they say wins over events, and fills what events lack."""

from collections.abc import AsyncIterator

import httpx
import pytest

from handlers.errors import NeedsPerson
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from middleware.clients.stripe.client import Stripe, connect_stripe
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.stripe import StripePeople, StripeState, create_app
from tests.support.payments.payment_bench import Bench, bench, intent, stripe_event
from tests.support.payments.stripe_story import Json

NUMBER = {"invoice_number": "R-1"}


class Till:
    """A sandbox Stripe beside the bench; its events wait until they are delivered."""

    def __init__(self, desk: Bench) -> None:
        self.desk = desk
        self.state = StripeState(livemode=True)
        self.state.hold = True
        self.people = StripePeople(self.state)
        self.people.listen("http://receiver.test", "whsec_1")
        self.faults = Faults()
        app = create_app(self.state, self.faults)
        self.client: Stripe = connect_stripe("http://stripe.test", "sk_live_1", httpx.ASGITransport(app))
        desk.stripe = self.client

    def told(self, *kinds: str) -> list[Json]:
        """The events that wait, of these types when some are named."""
        waiting = [delivery.event for delivery in self.state.outbox.take()]
        return [one for one in waiting if not kinds or one["type"] in kinds]


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    """A bench whose Stripe can be read, and an open invoice R-1 over 99 EUR."""
    async with bench() as desk:
        made = Till(desk)
        await desk.invoice(await desk.client(), "99.00", "R-1")
        yield made
        await made.client.aclose()


async def test_first_event_brings_fee_and_everything(till: Till) -> None:
    """Whatever comes first: the fee is in the private notes and in our record."""
    till.people.pay(9900, "eur", NUMBER)
    await till.desk.deliver(till.told("charge.succeeded")[0])
    (row,) = till.desk.payments()
    record = till.desk.memory.records[row["number"]]
    assert row["number"].startswith("pi_")
    assert record.fee is not None
    assert f"Stripe fee {record.fee // 100}.{record.fee % 100:02d} EUR" in row["private_notes"]
    assert row["type_id"] == "5"
    assert till.desk.notes() == []


async def test_present_state_wins_over_an_old_event(till: Till) -> None:
    """The refund has happened when the payment's event is worked on: one look brings both."""
    paid = till.people.pay(9900, "eur", NUMBER)
    events = till.told("payment_intent.succeeded")
    till.people.refund(paid["id"], 900)
    await till.desk.deliver(events[0])
    assert [(row["amount"], row["refunded"]) for row in till.desk.payments()] == [(99, 9)]


async def test_refund_that_failed_is_known_from_stripe(till: Till) -> None:
    """A late event about an early state does not refund again."""
    paid = till.people.pay(9900, "eur", NUMBER)
    refund = till.people.refund(paid["id"])
    early = till.told("payment_intent.succeeded", "refund.created")
    till.people.refund_fails(refund["id"])
    await till.desk.deliver_all(early)
    assert [(row["amount"], row["refunded"]) for row in till.desk.payments()] == [(99, 0)]


async def test_dispute_is_read(till: Till) -> None:
    """A lost dispute is money gone."""
    paid = till.people.pay(9900, "eur", NUMBER)
    dispute = till.people.dispute(paid["id"])
    till.people.dispute_lost(dispute["id"])
    await till.desk.deliver_all(till.told("charge.dispute.closed"))
    assert [(row["amount"], row["refunded"]) for row in till.desk.payments()] == [(99, 99)]


async def test_metadata_of_the_stripe_invoice_is_found(till: Till) -> None:
    """The payment alone names nothing; Stripe tells which of its invoices it pays."""
    invoice = till.people.bill(9900, "eur", NUMBER)
    till.people.invoice_paid(invoice["id"])
    outcome = await till.desk.deliver(till.told("payment_intent.succeeded")[0])
    assert isinstance(outcome, Processed)
    assert len(till.desk.payments()) == 1
    assert till.desk.reviews.kinds == []


async def test_payment_of_a_stripe_invoice_is_found(till: Till) -> None:
    """`invoice.paid` names no payment; Stripe does."""
    invoice = till.people.bill(9900, "eur", NUMBER)
    till.people.invoice_paid(invoice["id"])
    outcome = await till.desk.deliver(till.told("invoice.paid")[0])
    (row,) = till.desk.payments()
    assert row["number"].startswith("pi_")
    assert isinstance(outcome, Processed)
    assert outcome.reason.count("of invoice R-1") == 1, "it is settled once, under its own lock"


async def test_failed_stripe_invoice_is_overdue_and_healed(till: Till) -> None:
    """All events of a failure and a later success, oldest last."""
    invoice = till.people.bill(9900, "eur", NUMBER)
    till.people.invoice_fails(invoice["id"])
    await till.desk.deliver_all(till.told())
    (row,) = till.desk.state.tables["invoices"]
    assert row["due_date"] < "2026-12-31"
    till.people.invoice_paid(invoice["id"])
    await till.desk.deliver_all(reversed(till.told()))
    assert (row["due_date"], row["status_id"]) == ("2026-12-31", "4")
    assert len(till.desk.payments()) == 1


async def test_paid_past_stripe(till: Till) -> None:
    """Cash noted at Stripe is a payment of the Stripe invoice itself."""
    invoice = till.people.bill(9900, "eur", NUMBER)
    till.people.invoice_paid_out_of_band(invoice["id"])
    await till.desk.deliver_all(till.told())
    assert [row["number"] for row in till.desk.payments()] == [invoice["id"]]


async def test_session_of_a_link_is_found(till: Till) -> None:
    """The payment names nothing, its session does."""
    paid = till.people.pay(9900, "eur")
    session = till.state.create(
        "checkout.session", "cs_", payment_intent=paid["id"], metadata=NUMBER, amount_total=9900, currency="eur"
    )
    till.state.change(session, payment_status="paid", status="complete")
    await till.desk.deliver(till.told("payment_intent.succeeded")[0])
    assert len(till.desk.payments()) == 1


async def test_charge_without_intent_is_read(till: Till) -> None:
    """The direct Charges API."""
    paid = till.people.pay(9900, "eur", NUMBER)
    charge = till.state.find("charge", till.state.find("payment_intent", paid["id"])["latest_charge"])
    alone = till.state.change(charge, payment_intent=None, metadata=NUMBER)
    till.told()
    await till.desk.deliver(stripe_event("charge.succeeded", alone["created"], alone))
    assert [row["number"] for row in till.desk.payments()] == [alone["id"]]


async def test_what_stripe_does_not_know_is_not_booked(till: Till) -> None:
    """A key of another account: nothing says that it is our money."""
    body = intent(9900, "pi_elsewhere", invoice_number="R-1")
    error = await till.desk.deliver(stripe_event("payment_intent.succeeded", 1_790_000_000, body))
    assert isinstance(error, NeedsPerson)
    assert "Stripe does not know pi_elsewhere" in error.reason
    assert till.desk.payments() == []


async def test_deleted_draft_of_a_payment_holds_nothing_up(till: Till) -> None:
    """A Stripe invoice that was deleted is not needed to know the money."""
    paid = till.people.pay(9900, "eur", NUMBER)
    till.state.change(till.state.find("payment_intent", paid["id"]), invoice="in_deleted")
    await till.desk.deliver_all(till.told())
    assert len(till.desk.payments()) == 1


@pytest.mark.parametrize(
    ("context", "code"), [("acct_other", Code.OTHER_ACCOUNT), ("acct_sandbox", None), (None, None)]
)
async def test_account_of_the_key_is_ours(till: Till, context: str | None, code: Code | None) -> None:
    """Events of another account of the organisation are ignored; ours, and those that name none, count."""
    till.people.pay(9900, "eur", NUMBER)
    for event in till.told():
        outcome = await till.desk.deliver({**event, "context": context})
    assert len(till.desk.payments()) == (1 if code is None else 0)
    assert code is None or outcome == Ignored(
        code, "it comes from another account of the organisation than ours (STRIPE_ACCOUNT)"
    )


async def test_key_that_may_not_read_its_account(till: Till) -> None:
    """Without STRIPE_ACCOUNT the event is held; with it, it is judged."""
    till.people.pay(9900, "eur", NUMBER)
    (event,) = till.told("payment_intent.succeeded")
    till.faults.add(method="GET", path="/v1/account", status=403, body={"error": {"message": "no"}})
    error = await till.desk.deliver({**event, "context": "acct_sandbox"})
    assert isinstance(error, NeedsPerson)
    assert "STRIPE_ACCOUNT" in error.hint


async def test_unreadable_subject_is_not_asked_for(till: Till) -> None:
    """Only payments, charges and invoices can be read at Stripe."""
    broken = stripe_event("payment_intent.succeeded", 1, {"id": 7, "object": "payment_intent"})
    outcome = await till.desk.deliver(broken)
    assert "cannot be read" in str(outcome)
