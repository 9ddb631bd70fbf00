"""The sandbox tells the recorded stories: same events in the same order, same fields, same money at the end."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from mappings.stripe import fold, target
from middleware.lab.sandbox.stripe import StripePeople, StripeState, checkout, payments
from middleware.sources.signing import verify_stripe
from tests.support.payments.stripe_story import Json, end_state, facts_by_payment, stories, story

SECRET = "whsec_contract"
URL = "http://127.0.0.1:1/webhooks/stripe"
NINJA = {"invoice_ninja_invoice_id": "Wpmbk5ezJn", "invoice_number": "2026-0042"}
Telling = Callable[[StripePeople], None]


def a_card(people: StripePeople) -> None:
    """A payment link paid by card."""
    people.pay_link(a_link(people, 12345), client_reference="2026-0042")


def b1_sepa_ok(people: StripePeople) -> None:
    """A payment link paid by a debit that arrives."""
    people.debit_arrives(people.pay_link(a_link(people, 50000), debit=True, client_reference="2026-0042")["id"])


def b2_sepa_fail(people: StripePeople) -> None:
    """A payment link paid by a debit that bounces."""
    people.debit_bounces(people.pay_link(a_link(people, 7700), debit=True, client_reference="2026-0042")["id"])


def c1_invoice_new(people: StripePeople) -> None:
    """A Stripe invoice whose first payment fails."""
    invoice = people.bill(9900, "eur", NINJA)
    people.invoice_fails(invoice["id"])
    people.invoice_paid(invoice["id"])


def c2_invoice_out_of_band(people: StripePeople) -> None:
    """A Stripe invoice paid past Stripe."""
    people.invoice_paid_out_of_band(people.bill(4200, "eur", NINJA)["id"])


def d1_refund(people: StripePeople) -> None:
    """Two refunds, the second one pending for a while."""
    intent = people.pay(12345, "eur", NINJA)
    people.refund(intent["id"], 2345)
    people.refund_succeeds(people.refund(intent["id"], 10000, pending=True)["id"])


def e1_dispute_lost(people: StripePeople) -> None:
    """A dispute the bank decides for the customer."""
    dispute = people.dispute(people.pay(30000, "eur", NINJA)["id"])
    people.dispute_answered(dispute["id"])
    people.dispute_lost(dispute["id"])


def e2_dispute_won(people: StripePeople) -> None:
    """A dispute the bank decides for the merchant."""
    dispute = people.dispute(people.pay(30000, "eur", NINJA)["id"])
    people.dispute_answered(dispute["id"])
    people.dispute_won(dispute["id"])


def f_partial_capture(people: StripePeople) -> None:
    """6000 of 10000 are captured."""
    people.capture(people.authorise(10000, "eur", NINJA)["id"], 6000)


TOLD: list[Telling] = [
    *(a_card, b1_sepa_ok, b2_sepa_fail, c1_invoice_new, c2_invoice_out_of_band),
    *(d1_refund, e1_dispute_lost, e2_dispute_won, f_partial_capture),
]


def a_link(people: StripePeople, amount: int) -> str:
    """A payment link for one invoice; the metadata is on the link and on the intent."""
    line = {"amount_total": amount, "currency": "eur"}
    link = checkout.create_link(
        people.state, "eur", [line], metadata=NINJA, payment_intent_data={"metadata": NINJA, "description": "Invoice"}
    )
    return str(link["id"])


def tell(telling: Telling, api_version: str | None = None) -> list[Json]:
    """The events an endpoint gets when the story is told."""
    state = StripeState(livemode=True)
    people = StripePeople(state)
    people.listen(URL, SECRET, api_version=api_version)
    telling(people)
    return [delivery.event for delivery in state.outbox]


def types_of(value: Any) -> Any:
    """The shape of a value: keys and types, without the values."""
    if isinstance(value, dict):
        return {key: types_of(inner) for key, inner in value.items()}
    return type(value).__name__


def differences(ours: Any, recorded: Any, path: str = "") -> list[str]:
    """Keys that are missing or too many, and values of another type; null fits everything."""
    if isinstance(ours, dict) and isinstance(recorded, dict):
        if path.endswith((".metadata", ".previous_attributes", ".last_payment_error")):
            return []
        missing = [
            f"{path}.{key} {'is missing' if key in recorded else 'is too much'}" for key in ours.keys() ^ recorded
        ]
        return missing + [
            one for key in ours.keys() & recorded for one in differences(ours[key], recorded[key], f"{path}.{key}")
        ]
    if "NoneType" in (ours, recorded) or ours == recorded:
        return []
    return [f"{path} is {ours}, recorded {recorded}"]


RECORDED = {
    event["type"]: types_of(event)
    for line in stories()
    for event in line.events
    if event.get("api_version", "").startswith("2026") and "account" not in event
}


@pytest.mark.parametrize("telling", TOLD, ids=lambda telling: telling.__name__)
def test_events_have_the_recorded_fields(telling: Telling) -> None:
    """Every event that was recorded has the same keys and types when the sandbox sends it."""
    compared = [event for event in tell(telling) if event["type"] in RECORDED]
    assert compared
    for event in compared:
        found = differences(types_of(event), RECORDED[event["type"]], event["type"])
        # What depends on the means of payment or of evidence is compared only in its own kind.
        assert [one for one in found if not one.partition(".object.")[2].startswith(OTHER_MEANS)] == []


PAST_STRIPE = {"payments": 1, "paid": 4200}
"""The sandbox sends the payment record of money that came past Stripe, which the older recording does not have."""

OTHER_MEANS = (
    *("payment_method_details", "parent", "lines", "evidence_details", "destination_details", "payment_method_options"),
    *("payment.", "customer_details", "outcome", "failure_reason", "failure_balance_transaction", "pending_reason"),
)


@pytest.mark.parametrize("telling", TOLD, ids=lambda telling: telling.__name__)
def test_events_come_in_the_recorded_order(telling: Telling) -> None:
    """The types of a story's events follow each other as recorded; the sandbox may tell more in between."""
    told = iter(event["type"] for event in tell(telling))
    recorded = [event["type"] for event in story(telling.__name__).events]
    # The recordings have it both before and after the intent's success: Stripe promises no order.
    assert [kind for kind in recorded if kind != "charge.succeeded" and kind not in told] == []


@pytest.mark.parametrize("telling", TOLD, ids=lambda telling: telling.__name__)
@pytest.mark.parametrize("backwards", [False, True])
def test_money_ends_as_recorded(telling: Telling, backwards: bool) -> None:
    """Folding the sandbox's events gives the money of the recorded story."""
    events = tell(telling)
    state = end_state(reversed(events) if backwards else events)
    expect = PAST_STRIPE if telling is c2_invoice_out_of_band else story(telling.__name__).expect
    assert state == {key: expect.get(key, 0) for key in state}


def test_old_endpoint_gets_old_events() -> None:
    """An endpoint of 2025-02-24 gets invoices that name their payment, and no invoice_payment events."""
    events = tell(c1_invoice_new, api_version="2025-02-24.acacia")
    assert "invoice_payment.paid" not in {event["type"] for event in events}
    (facts,) = facts_by_payment(events)
    assert (target(facts).paid, facts.identity[:3]) == (9900, "pi_")
    recorded = {event["type"]: event["data"]["object"].keys() for event in story("c0_invoice_acacia").events}
    paid = next(event["data"]["object"] for event in events if event["type"] == "invoice.paid")
    assert {"payment_intent", "charge", "paid", "paid_out_of_band"} <= paid.keys() & recorded["invoice.paid"]


def test_charge_without_an_intent() -> None:
    """The old Charges API: the charge itself is the money."""

    def charging(people: StripePeople) -> None:
        payments.charge_directly(people.state, 1500, "eur", metadata=NINJA)

    held = target(fold(tell(charging)))
    assert (held.paid, held.key[:3]) == (1500, "ch_")


def test_declined_card_and_a_second_try() -> None:
    """A failure, healed by the next attempt of the same intent, in any order."""

    def trying(people: StripePeople) -> None:
        people.try_again(people.fail(700, "eur", NINJA)["id"])

    events = tell(trying)
    assert target(fold(events[:3])).status == "failed"
    assert target(fold(reversed(events))).status == "paid"
    assert len({reference for reference in fold(events).references if reference.startswith("ch_")}) == 2


def test_refund_that_fails_brings_the_money_back() -> None:
    """The story d2, of which only the API's objects were recorded."""

    def failing(people: StripePeople) -> None:
        people.refund_fails(people.refund(people.pay(8800, "eur", NINJA)["id"])["id"])

    events = tell(failing)
    assert {"refund.failed", "refund.updated", "charge.refund.updated"} <= {event["type"] for event in events}
    assert (target(fold(events)).paid, target(fold(events)).refunded) == (8800, 0)


async def test_deliveries_are_signed_and_pretty_printed() -> None:
    """The bytes verify, are indented by two spaces, and a refused delivery is sent again, signed anew."""
    sent: list[tuple[str, bytes, dict[str, str]]] = []
    answers = iter([500, 200])

    async def sender(url: str, body: bytes, headers: dict[str, str]) -> int:
        sent.append((url, body, headers))
        return next(answers)

    state = StripeState(sender=sender)
    people = StripePeople(state)
    people.listen(URL, SECRET, "payment_intent.succeeded")
    people.pay(100, "eur")
    assert await state.deliver() == 1
    assert len(state.undelivered) == 1
    assert await state.retry() == 1
    assert state.undelivered == []
    for url, body, headers in sent:
        assert url == URL
        assert verify_stripe(body, headers["Stripe-Signature"], [SECRET], state.now()) == 0
        assert body.startswith(b'{\n  "id": "evt_')
        assert body == json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode()
