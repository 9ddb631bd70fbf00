"""How fast and how much at a time requests leave."""

import asyncio
import itertools

import pytest

from middleware.traffic.limits import Pace, Slots


def turns(pace: Pace, number: int, now: float = 0.0) -> list[float]:
    """When each of many requests that come at once may leave."""
    waits = [pace.reserve(now, 1e9) for _ in range(number)]
    return [now + wait for wait in waits if wait is not None]


def test_even_rate() -> None:
    """At 10 a second 100 requests leave within ten seconds, evenly, with a burst of a tenth of a second at most."""
    sent = turns(Pace(10), 101, now=1000.0)
    assert sent[-1] == pytest.approx(1010, abs=0.2)
    assert all(later - sooner <= 0.1 + 1e-9 for sooner, later in itertools.pairwise(sent))


def test_no_limit() -> None:
    """Without a rate nobody waits."""
    assert turns(Pace(0), 1000, now=5.0) == [5.0] * 1000


def test_turn_too_far_away_is_not_reserved() -> None:
    """Who would wait too long is told so, and leaves the turn to others."""
    pace = Pace(1)
    turns(pace, 12)
    assert pace.reserve(0, 5) is None
    before = pace.seconds_to_turn(0)
    assert pace.reserve(0, 5) is None
    assert pace.seconds_to_turn(0) == before
    assert pace.reserve(before - 5, 5) is not None


def test_halt() -> None:
    """After "too many requests" nobody's turn comes before the wait is over, with or without a rate."""
    for pace in (Pace(0), Pace(100)):
        pace.halt(30.0)
        assert pace.reserve(0.0, 20) is None
        assert pace.reserve(10.0, 20) == 20.0


async def test_slots() -> None:
    """Never more than the limit at a time, in the order of asking."""
    slots, running, peak, order = Slots(3), 0, 0, []

    async def work(name: int) -> None:
        nonlocal running, peak
        async with slots:
            running += 1
            peak = max(peak, running)
            order.append(name)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work(name) for name in range(20)))
    assert peak == 3
    assert order == list(range(20))


async def test_slots_of_those_who_gave_up() -> None:
    """Who is cancelled while waiting, even at the moment of its turn, leaves no place taken."""
    slots = Slots(1)
    async with slots:
        waiting = [asyncio.create_task(_hold(slots)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(60), slots:
        assert waiting[2].done()


async def test_slots_resize() -> None:
    """A larger limit lets waiting ones in at once; a smaller one counts as places are given back."""
    slots = Slots(1)
    async with slots:
        waiting = asyncio.create_task(_hold(slots))
        await asyncio.sleep(0)
        slots.resize(2)
        await asyncio.wait_for(waiting, 60)


async def _hold(slots: Slots) -> None:
    async with slots:
        await asyncio.sleep(0)
