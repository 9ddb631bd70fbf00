"""The budget of bytes for bodies: who waits in line, who goes on, and that somebody always does."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.web import body_budget
from middleware.web.body_budget import BodyBudget


class Sender:
    """A connection that remembers what it is asked."""

    def __init__(self) -> None:
        self.is_held = False
        self.is_given_up = False

    def hold(self) -> None:
        """Wait in line."""
        assert not self.is_held
        self.is_held = True

    def proceed(self) -> None:
        """Go on."""
        assert self.is_held
        self.is_held = False

    def give_up(self) -> None:
        """Be cut off."""
        self.is_given_up = True


async def test_beyond_the_budget_they_wait_in_their_order() -> None:
    """The one that goes beyond waits; when another is answered, the first in line goes on."""
    budget, (a, b, c) = BodyBudget(100), (Sender(), Sender(), Sender())
    budget.take(a, 60)
    budget.take(b, 60)
    budget.take(c, 10)
    assert [one.is_held for one in (a, b, c)] == [False, True, True]
    budget.arrived(a)
    # It is being answered: its bytes are still there, and somebody will give them back.
    assert (budget.total, b.is_held) == (130, True)
    budget.give_back(a)
    assert [one.is_held for one in (b, c)] == [False, False]
    budget.give_back(b)
    budget.give_back(c)
    budget.give_back(c)
    assert budget.total == 0


async def test_somebody_always_goes_on() -> None:
    """One body alone may be larger than the budget; when all others are in line, the first of them may, too."""
    budget, (a, b) = BodyBudget(100), (Sender(), Sender())
    budget.take(a, 500)
    assert not a.is_held
    budget.take(b, 500)
    assert b.is_held
    budget.give_back(a)
    assert not b.is_held
    budget.take(b, 500)
    assert not b.is_held


async def test_bodies_that_wait_for_an_answer_hold_up_others() -> None:
    """While PostgreSQL hangs, bodies that have arrived are not joined by more and more others."""
    budget = BodyBudget(100)
    senders = [Sender() for _ in range(20)]
    for one in senders:
        budget.take(one, 90)
        if not one.is_held:
            budget.arrived(one)
    assert [one.is_held for one in senders] == [False] + [True] * 19


async def test_who_stalls_at_its_turn_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only while others wait, and only who sends nothing more."""
    monkeypatch.setattr(body_budget, "STALLED_SECONDS", 0.02)
    budget, (stalled, moving, waiting) = BodyBudget(100), (Sender(), Sender(), Sender())
    budget.take(stalled, 60)
    budget.take(moving, 30)
    await asyncio.sleep(0.05)
    assert not stalled.is_given_up
    budget.take(waiting, 60)
    async with asyncio.timeout(30):
        while not stalled.is_given_up:
            budget.take(moving, 0)
            await asyncio.sleep(0.005)
    assert not moving.is_given_up
    for one in (stalled, moving, waiting):
        budget.give_back(one)
    assert not waiting.is_held


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["take", "arrived", "back"]), st.integers(1, 80))))
def test_never_stuck(steps: list[tuple[int, str, int]]) -> None:
    """Whatever happens in which order, the sum is right, and while bytes are taken somebody is not in line."""

    async def play() -> None:
        budget, senders, taken = BodyBudget(100), [Sender() for _ in range(6)], dict[int, int]()
        for number, what, size in steps:
            if what == "take" and not senders[number].is_held:
                budget.take(senders[number], size)
                taken[number] = taken.get(number, 0) + size
            elif what == "arrived" and number in taken:
                budget.arrived(senders[number])
            elif what == "back":
                budget.give_back(senders[number])
                taken.pop(number, None)
                # A connection that is gone is not asked again.
                senders[number] = Sender()
            assert budget.total == sum(taken.values())
            assert not taken or not all(senders[one].is_held for one in taken)

    asyncio.run(play())
