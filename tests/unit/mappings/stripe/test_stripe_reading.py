"""Strange objects end in an error that names event and field, never in a crash."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.stripe import BadStripeObject, PaymentFacts, fold
from tests.support.payments.stripe_story import Json, changed, stories, story

READABLE = [event for line in stories() for event in line.events if "data" in event]
STRANGE = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.text(max_size=4), st.floats(), st.just([]), st.just({})),
    *(st.just([None]), st.just({"object": "list", "data": 3}), st.just({"object": "charge"}), st.just(-1)),
)


def paths(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all fields in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in ((*prefix, key), *paths(inner, (*prefix, key)))]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(READABLE), st.data())
def test_spoiled_field_is_an_error_or_harmless(event: Json, data: st.DataObject) -> None:
    """Any field may be missing, null or of another type."""
    spoiled = copy.deepcopy(event)
    *way, last = data.draw(st.sampled_from(paths(event)))
    holder: Any = spoiled
    for step in way:
        holder = holder[step]
    if data.draw(st.booleans()):
        holder[last] = data.draw(STRANGE)
    else:
        del holder[last]
    try:
        facts = fold([spoiled])
    except BadStripeObject:
        return
    assert isinstance(facts, PaymentFacts)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("amount_received", -5, "is no amount in minor units: -5 is negative"),
        ("amount_received", 10**400, "is no amount in minor units: a number of 1329 bits is too large"),
        ("amount_received", "12345", "is no amount in minor units but '12345'"),
        ("amount_received", True, "is no amount in minor units but True"),
        ("amount_received", 12.5, "is no amount in minor units but a float"),
        ("amount_received", None, "is missing"),
        ("currency", None, "is missing"),
        ("currency", "", "is empty"),
        ("metadata", [], "is not an object but a list"),
        ("metadata", {"invoice_number": 7}, ".invoice_number is not a text but 7"),
        ("status", {}, "is not a text but a dict"),
        ("customer", ["cus_1"], "is not a text but a list"),
        ("charges", {"object": "list", "data": 3}, "is not a list but 3"),
    ],
)
def test_error_names_event_field_and_value(field: str, value: Any, told: str) -> None:
    """A person sees which event to look at and what is wrong with it."""
    event = changed(story("a_card").events[1], **{field: value})
    with pytest.raises(BadStripeObject) as caught:
        fold([event])
    assert str(caught.value).startswith(f"event {event['id']}: data.object.{field}")
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize("event", [[], None, "x", {}, {"id": "evt_1", "created": 1, "type": "x"}])
def test_what_is_no_event_cannot_be_folded(event: Any) -> None:
    """Not an object, no object inside: an error, not a crash."""
    with pytest.raises(BadStripeObject):
        fold([event])


def test_a_switch_that_is_neither_on_nor_off() -> None:
    """Whether money was captured is never guessed."""
    event = changed(story("a_card").events[0], captured="yes")
    with pytest.raises(BadStripeObject, match="captured must be true or false, not 'yes'"):
        fold([event])


@pytest.mark.parametrize("holder", ["latest_charge", "charges"])
def test_the_charge_inside_an_intent_tells_the_money(holder: str) -> None:
    """Where an intent itself does not say what was received (imitations of Stripe), its charges do."""
    line = story("a_card")
    charge = line.events[0]["data"]["object"]
    silent = changed(line.events[1], amount_received=None, latest_charge=charge["id"])
    silent["data"]["object"][holder] = charge if holder == "latest_charge" else {"object": "list", "data": [charge]}
    facts = fold([silent])
    assert (facts.received, facts.status) == (charge["amount_captured"], "succeeded")


def test_unknown_fields_and_words_do_not_matter() -> None:
    """Stripe adds fields and enum values every month."""
    event = changed(
        story("a_card").events[1], status="succeeded", brand_new={"x": [1]}, payment_method_types=["telepathy"]
    )
    assert fold([event]) == fold([story("a_card").events[1]])
    odd = fold([changed(story("a_card").events[1], status="contemplating")])
    assert (odd.status, odd.received) == ("incomplete", 0)


def test_events_of_two_payments_are_not_mixed_up() -> None:
    """Folding what does not belong together is refused by name."""
    with pytest.raises(BadStripeObject, match="belong to several payment intents: pi_"):
        fold([*story("a_card").events, *story("d1_refund").events])


def test_events_about_no_payment_are_refused() -> None:
    """A payout is not a payment."""
    with pytest.raises(BadStripeObject, match="not about a payment"):
        fold([story("g_ignore").events[1]])
    with pytest.raises(BadStripeObject, match="not about a payment"):
        fold([])
