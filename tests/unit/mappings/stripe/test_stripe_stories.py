"""Every recorded story ends with the same money, in every order and with every repetition."""

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.stripe import PaymentFacts, from_api, target
from tests.support.payments.stripe_story import Json, Story, api_objects, end_state, facts_by_payment, stories, story

MONEY = ("payments", "paid", "refunded", "disputed_lost")


def expected(line: Story) -> Json:
    """The recorded end, with zero where nothing is said."""
    return {key: line.expect.get(key, 0) for key in MONEY}


@pytest.mark.parametrize("line", stories(), ids=lambda line: line.name)
class TestStory:
    """One recorded story line."""

    def test_ends_as_recorded_in_story_order(self, line: Story) -> None:
        """Told as it happened, the money is as recorded."""
        assert end_state(line.events) == expected(line)

    def test_ends_as_recorded_backwards_and_tripled(self, line: Story) -> None:
        """Told backwards, with every event three times, nothing changes."""
        assert end_state([event for event in reversed(line.events) for _ in range(3)]) == expected(line)

    def test_facts_are_equal_for_every_order(self, line: Story) -> None:
        """Not only the money: every fact is the same for each order tried."""
        straight = as_set(line.events)
        orders = itertools.islice(itertools.permutations(line.events), 24)
        seeded = random.Random(7)  # noqa: S311 - the order of a test needs no secrecy
        shuffled = [seeded.sample(line.events * 2, len(line.events) * 2) for _ in range(12)]
        for order in [*orders, *shuffled]:
            assert as_set(order) == straight


def as_set(events: Iterable[Json]) -> set[PaymentFacts]:
    """The facts of all payments in these events."""
    return set(facts_by_payment(events))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_mix_of_stories_in_any_order_keeps_them_apart(data: st.DataObject) -> None:
    """Several payments at once, shuffled and repeated, end like each of them alone."""
    lines = data.draw(st.lists(st.sampled_from(stories()), min_size=1, max_size=4, unique_by=lambda line: line.name))
    events = [event for line in lines for event in line.events]
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=6))
    state = end_state(data.draw(st.permutations(repeated)))
    assert state == {key: sum(expected(line)[key] for line in lines) for key in MONEY}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_part_of_a_story_has_one_meaning(data: st.DataObject) -> None:
    """When some events are lost, the rest still means the same in every order, and never more than was paid."""
    line = data.draw(st.sampled_from(stories()))
    part = data.draw(st.lists(st.sampled_from(line.events), min_size=1, max_size=8))
    assert as_set(part) == as_set(data.draw(st.permutations(part)))
    for facts in facts_by_payment(part):
        assert 0 <= target(facts).kept <= target(facts).paid <= max(expected(line)["paid"], facts.received)


@pytest.mark.parametrize("name", ["a_card", "b1_sepa_ok", "c1_invoice_new", "d1_refund"])
def test_api_tells_the_same_money_as_the_events(name: str) -> None:
    """Reading the objects at Stripe and folding the events agree, to the minor unit."""
    (from_events,) = facts_by_payment(story(name).events)
    answer = api_objects(name)
    others = [answer[key] for key in ("invoice_payment", "balance_transaction") if key in answer]
    read = from_api(
        answer["payment_intent"],
        [answer["charge"]],
        answer.get("refunds", []),
        invoice=answer.get("invoice"),
        others=others,
    )
    one, other = target(from_events), target(read)
    assert (one.key, one.paid, one.refunded, one.currency, one.status) == (
        other.key,
        other.paid,
        other.refunded,
        other.currency,
        other.status,
    )
    assert other.fee is not None
    assert one.fee is None


def test_api_wins_over_events_but_events_tell_when() -> None:
    """With both at hand the objects are the truth, and the day of payment is that of the event."""
    answer = api_objects("b1_sepa_ok")
    line = story("b1_sepa_ok")
    facts = from_api(answer["payment_intent"], [answer["charge"]], events=line.events[:3])
    assert (facts.status, facts.received) == ("succeeded", 50000)
    assert from_api(answer["payment_intent"], events=line.events).paid_at == 1790432000


def test_failed_refund_brings_the_money_back() -> None:
    """A refund that failed weeks later does not count; the note says so."""
    answer = api_objects("d2_refund_failed")
    held = target(from_api(answer["payment_intent"], [answer["charge"]], answer["refunds"]))
    assert (held.paid, held.refunded, held.status) == (8800, 0, "paid")
    assert held.notes == (f"Refund {answer['refunds'][0]['id']} of 88.00 EUR: failed (lost_or_stolen_card)",)
