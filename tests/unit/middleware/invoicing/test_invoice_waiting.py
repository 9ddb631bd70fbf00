"""Waiting for events: whatever happens to them, it ends, and with words."""

from dataclasses import replace

import pytest

from middleware.invoicing.follow_state import Patience, Watch
from middleware.store.events.progress import Awaited

PATIENCE = Patience(quiet=180, later=45, fruitless=600, silent=10)


def row(event_id: int = 1, status: str = "processing", **changes: object) -> Awaited:
    """An event that is worked on."""
    return replace(Awaited(event_id, status, "", "", 1, 0.0), **changes)  # type: ignore[arg-type]  # test data


def watch(*event_ids: int) -> Watch:
    """The waiting for some events of one client each, from second 0."""
    events = {event_id: f"c{event_id}" for event_id in event_ids or (1,)}
    return Watch(events, {"c1": "Acme"}, PATIENCE, 0)


@pytest.mark.parametrize("status", ["processed", "ignored", "dead", "discarded"])
def test_an_end_is_an_end(status: str) -> None:
    """However an event ends, it is told once, with its client, and no longer waited for."""
    one = watch()
    (ended,) = one.look([row(status=status, reason="why", hint="what to do")], 1)
    assert (ended.client_name, ended.status, ended.reason, ended.hint) == ("Acme", status, "why", "what to do")
    assert ended.is_over
    assert ended.is_done is (status in {"processed", "ignored"})
    assert (one.waiting, one.look([], 2), one.notice(99)) == ([], [], "")


def test_an_event_that_is_gone() -> None:
    """An event that was cleared away is no reason to wait for ever."""
    (ended,) = watch().look([], 1)
    assert (ended.status, ended.reason, ended.is_over, ended.is_done) == (
        "gone",
        "its event is gone from the store",
        True,
        False,
    )


def test_a_try_that_comes_much_later() -> None:
    """A next try within a minute is waited for; one that comes later is left to the workers."""
    one = watch()
    assert one.look([row(status="retrying", seconds_to_next=44.0)], 1) == []
    (left,) = one.look([row(status="retrying", seconds_to_next=46.0, reason="Invoice Ninja is away")], 2)
    assert (left.reason, left.is_over, left.is_done) == ("Invoice Ninja is away", False, False)


def test_nothing_moves() -> None:
    """A worker that holds an event without doing anything is not waited for beyond the longest try."""
    one = watch()
    assert one.look([row()], 1) == []
    assert one.look([row()], 180) == []
    (left,) = one.look([row()], 182)
    assert left.reason == "nothing has moved for 180 s: a worker is at it, try 1"
    assert not left.is_over


def test_tries_without_an_end() -> None:
    """Events that are tried again and again are left, too, when none of them ends."""
    one = watch(1, 2)
    for second in range(0, 600, 30):
        assert one.look([row(attempts=second), row(2, "received")], second) == []
    left = one.look([row(attempts=700), row(2, "received")], 601)
    assert [ended.reason for ended in left] == [
        "not one ended in 600 s: a worker is at it, try 700",
        "not one ended in 600 s: its turn has not come",
    ]


def test_each_end_lets_the_others_wait_on() -> None:
    """Many clients take long: only a standstill ends the waiting."""
    events = range(1, 8)
    one = watch(*events)
    for event_id in events:
        rows = [row(other, "received") for other in one.waiting if other != event_id]
        (ended,) = one.look([row(event_id, "processed"), *rows], event_id * 170)
        assert ended.event_id == event_id


def test_what_is_waited_for_is_told() -> None:
    """When nothing ends for a while, people read what is waited for, again and again."""
    one = watch(1, 2)
    one.look([row(), row(2, "received")], 1)
    assert one.notice(9) == ""
    assert one.notice(10) == "waiting for Acme: a worker is at it, try 1 (event 1), and for 1 more"
    assert one.notice(19) == ""
    one.look([row(status="processed"), row(2, "retrying", seconds_to_next=12.4, reason="no answer")], 20)
    assert one.notice(29) == ""
    assert one.notice(30) == "waiting for c2: tried again in 12 s: no answer (event 2)"
