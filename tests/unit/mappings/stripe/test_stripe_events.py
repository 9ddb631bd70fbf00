"""Which events matter, and under which subject they are settled."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.stripe import RELEVANT_TYPES, BadStripeObject, Irrelevant, Relevant, classify
from tests.support.payments.stripe_story import Json, changed, stories, story

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def subjects(name: str) -> set[str]:
    """The kinds of subjects of a story: what stands before the id."""
    verdicts = (classify(event) for event in story(name).events)
    return {verdict.subject for verdict in verdicts if isinstance(verdict, Relevant)}


def test_one_payment_is_one_subject_whoever_tells_of_it() -> None:
    """Intent, charge, session, refund and dispute events all lead to the payment intent."""
    for name in ("a_card", "b1_sepa_ok", "c0_invoice_acacia", "d1_refund", "e2_dispute_won"):
        (subject,) = subjects(name)
        assert subject.startswith("stripe:payment:pi_")


def test_newer_invoice_events_are_about_the_invoice_and_their_payment_links_them() -> None:
    """Since 2025-03-31 an invoice event names no payment; `invoice_payment.paid` names both."""
    assert {subject[:18] for subject in subjects("c1_invoice_new")} == {"stripe:payment:pi_", "stripe:invoice:in_"}
    assert {subject[:18] for subject in subjects("c2_invoice_out_of_band")} == {"stripe:invoice:in_"}
    assert {subject[:18] for subject in subjects("g_legacy_charge_without_pi")} == {"stripe:payment:ch_"}


def test_ignored_events_say_why() -> None:
    """A connected account, the other mode, unknown and thin events each have their word."""
    reasons = [classify(event, live=True) for event in story("g_ignore").events]
    unknown, account, mode = Irrelevant("unknown_type"), Irrelevant("connect_account"), Irrelevant("other_mode")
    assert reasons == [unknown, unknown, unknown, account, mode, unknown]
    assert classify(story("g_thin").events[0]) == Irrelevant("thin_event")


def test_without_a_configured_mode_both_are_taken() -> None:
    """Live and test payments pass when nobody said which mode we are in."""
    test_mode = story("g_ignore").events[4]
    assert isinstance(classify(test_mode), Relevant)
    assert isinstance(classify(test_mode, live=False), Relevant)
    assert classify(story("a_card").events[0], live=False) == Irrelevant("other_mode")


def test_session_without_a_payment_is_ignored() -> None:
    """A session that sets up a card, or costs nothing, is not about a payment; one of a subscription is."""
    completed = story("a_card").events[2]
    assert classify(changed(completed, payment_intent=None)) == Irrelevant("not_about_a_payment")
    assert classify(changed(completed, payment_intent=None, invoice="in_1")) == Relevant("stripe:invoice:in_1")


@pytest.mark.parametrize("data", [None, {}, {"object": None}, {"object": 7}])
def test_payment_event_without_its_object_is_let_in(data: object) -> None:
    """It may be money: a person sees it, instead of nobody."""
    event = {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "created": 1, "data": data}
    assert classify(event) == Relevant("stripe:event:evt_1")


def test_old_invoice_paid_past_stripe_is_money_of_its_own() -> None:
    """The intent Stripe had prepared for it is not what was paid."""
    paid = story("c0_invoice_acacia").events[5]
    subject = classify(changed(paid, paid_out_of_band=True, amount_paid=0))
    assert subject == Relevant(f"stripe:invoice:{paid['data']['object']['id']}")


def test_expanded_objects_lead_to_the_same_subject() -> None:
    """An id and the object it stands for are the same."""
    charge = story("a_card").events[0]
    intent = charge["data"]["object"]["payment_intent"]
    assert classify(changed(charge, payment_intent={"id": intent, "object": "payment_intent"})) == classify(charge)


def test_relevant_event_that_cannot_be_read_is_let_in_under_its_own_name() -> None:
    """It must not be lost: reading it later fails where a person sees it."""
    event = changed(story("a_card").events[0], payment_intent=17)
    assert classify(event) == Relevant(f"stripe:event:{event['id']}")


@pytest.mark.parametrize("event", [{}, {"id": "evt_1"}, {"type": "charge.succeeded"}, {"id": 7, "type": "x"}])
def test_what_is_no_event_is_refused(event: Json) -> None:
    """Without id and type there is nothing to store."""
    with pytest.raises(BadStripeObject):
        classify(event)


def test_every_relevant_type_but_the_rare_ones_has_a_recorded_event() -> None:
    """Types we act on are proven with recorded bodies."""
    recorded = {event["type"] for line in stories() for event in line.events}
    assert {
        "payment_intent.canceled",
        "refund.failed",
        "payment_intent.reconcile",
        "charge.reconcile",
    } == set(RELEVANT_TYPES) - recorded


@given(st.sampled_from([event for line in stories() for event in line.events]), st.data())
def test_spoiled_events_never_crash_the_door(event: Json, data: st.DataObject) -> None:
    """Whatever a field holds, the answer is a verdict or BadStripeObject."""
    spoiled: Any = copy.deepcopy(event)
    part = data.draw(
        st.sampled_from([spoiled, *([spoiled["data"], spoiled["data"]["object"]] if "data" in event else [])])
    )
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(ANY_JSON)
    try:
        verdict = classify(spoiled, live=True)
    except BadStripeObject:
        return
    assert isinstance(verdict, Relevant | Irrelevant)
