"""How fast requests leave."""

import itertools

import pytest

from middleware.traffic.limits import RateLimiter


def turns(pace: RateLimiter, number: int, now: float = 0.0) -> list[float]:
    """When each of many requests that come at once may leave."""
    waits = [pace.reserve(now, 1e9) for _ in range(number)]
    return [now + wait for wait in waits if wait is not None]


def test_even_rate() -> None:
    """At 10 a second 100 requests leave within ten seconds, evenly, with a burst of a tenth of a second at most."""
    sent = turns(RateLimiter(10), 101, now=1000.0)
    assert sent[-1] == pytest.approx(1010, abs=0.2)
    assert all(later - sooner <= 0.1 + 1e-9 for sooner, later in itertools.pairwise(sent))


def test_no_limit() -> None:
    """Without a rate nobody waits."""
    assert turns(RateLimiter(0), 1000, now=5.0) == [5.0] * 1000


def test_turn_too_far_away_is_not_reserved() -> None:
    """Who would wait too long is told so, and leaves the turn to others."""
    pace = RateLimiter(1)
    turns(pace, 12)
    assert pace.reserve(0, 5) is None
    before = pace.seconds_to_turn(0)
    assert pace.reserve(0, 5) is None
    assert pace.seconds_to_turn(0) == before
    assert pace.reserve(before - 5, 5) is not None


def test_halt() -> None:
    """After "too many requests" nobody's turn comes before the wait is over, with or without a rate."""
    for pace in (RateLimiter(0), RateLimiter(100)):
        pace.halt(30.0)
        assert pace.reserve(0.0, 20) is None
        assert pace.reserve(10.0, 20) == 20.0
