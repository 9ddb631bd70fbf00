"""How fast and how much at a time requests leave for one system. In memory: the limits hold for one process."""

import asyncio
from collections.abc import Callable

BURST_SECONDS = 0.1
"""What was not used during this time may be made up for at once."""

LAST_MOMENT = 1.0
LONGEST_PATIENCE = 60.0


class RateLimiter:
    """At most `per_second` requests a second, evenly; 0 is without limit. Times are seconds of any steady clock."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._next = 0.0

    def reserve(self, now: float, longest: float) -> float | None:
        """Seconds to one's turn, which is reserved; None, and nothing reserved, when it is beyond `longest`."""
        step = 1 / self.per_second if self.per_second else 0.0
        turn = max(self._next, now - BURST_SECONDS) if step else max(self._next, now)
        wait = turn - now
        if wait > longest:
            return None
        self._next = turn + step
        return max(0.0, wait)

    def halt(self, until: float) -> None:
        """Nobody's turn comes before this moment: the server said that it is asked too much."""
        self._next = max(self._next, until)

    def seconds_to_turn(self, now: float) -> float:
        """How long the next turn is away."""
        return max(0.0, self._next - now)


class LowPriority:
    """Turns for requests in no hurry, one after the other: they take what nobody else has taken until the last moment.

    So work that lasts for hours at a slow pace leaves the way to the rest. A request waits for `LONGEST_PATIENCE` in
    vain, then it takes its place among the others: such work goes on, however busy the way is.
    """

    def __init__(self, limiter: RateLimiter, timer: Callable[[], float]) -> None:
        self._limiter = limiter
        self._timer = timer
        self._one_at_a_time = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for a turn."""
        async with self._one_at_a_time:
            patient_until = self._timer() + LONGEST_PATIENCE
            while (wait := self._reserved(patient_until)) is None:
                now = self._timer()
                to_last_moment = self._limiter.seconds_to_turn(now) - LAST_MOMENT
                await asyncio.sleep(max(0.0, min(to_last_moment, patient_until - now)))
            await asyncio.sleep(wait)

    def _reserved(self, patient_until: float) -> float | None:
        now = self._timer()
        return self._limiter.reserve(now, LAST_MOMENT if now < patient_until else float("inf"))
