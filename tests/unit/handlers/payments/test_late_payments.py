"""Whatever write of money Invoice Ninja carries out late, after we gave it up: a recheck makes the sums right."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.event import SCHEDULE, Work
from handlers.outcome import Outcome, Processed
from handlers.payments.settle import settle_payment
from handlers.recheck import RECHECK
from middleware.lab.sandbox.faults import Faults, Rule
from tests.support.payments.payment_bench import Bench, bench, events_of, stage
from tests.support.payments.stripe_story import Json, story

LATE = Rule(action="late", seconds=3600)
Told = Callable[[Bench], Awaitable[list[Json]]]


class OneLate(Faults):
    """One request that moves money, counted from 0, is carried out when nobody waits for it any more."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self._left = index
        self.paths: list[str] = []

    def choose(self, method: str, target: str) -> Rule | None:
        """The rule, when its request has come."""
        if method == "GET" or "/payments" not in target:
            return None
        self._left -= 1
        if self._left != -1:
            return None
        self.paths.append(f"{method} {target}")
        return LATE


async def paid_in_full(desk: Bench) -> list[Json]:
    """One payment of one invoice."""
    return await events_of(desk, [])


async def refunded_in_parts(desk: Bench) -> list[Json]:
    """A payment of which two parts go back."""
    return await events_of(desk, [("refund", "re_1", 1000, "succeeded"), ("refund", "re_2", 2000, "succeeded")])


async def overpaid(desk: Bench) -> list[Json]:
    """More was paid than is owed, and all of it goes back."""
    events = await stage(desk, story("d1_refund"), amount="100")
    return [events[0], *events[2:]]


async def looked_again(desk: Bench, subject: str) -> Outcome:
    """A recheck of the payment."""
    last = max(desk.history.events[subject], key=lambda event: (event.occurred_at, event.id))
    before = last.occurred_at - timedelta(microseconds=1)
    look = replace(last, id=900, source=SCHEDULE, type=RECHECK, key="look", occurred_at=before, payload={})
    return await settle_payment(Work(subject, (look,), last), desk.context)


async def told(desk: Bench, tell: Told, faults: Faults) -> str:
    """Tell everything while one request is late, which is then carried out; returns the subject of the payment."""
    events = await tell(desk)
    desk.spoil(faults)
    for event in events:
        await desk.deliver(event)
    await faults.catch_up()
    (subject,) = (name for name in desk.history.events if name.startswith("stripe:payment:"))
    return subject


@pytest.mark.parametrize("tell", [paid_in_full, refunded_in_parts, overpaid])
async def test_every_late_write(tell: Told) -> None:
    """The first write is late, or the second, and so on: after a recheck the sums are those of a calm day."""
    async with bench() as calm:
        await told(calm, tell, Faults())
        expected = calm.sums()
    late: Sequence[str] = ("",)
    for index in range(20):
        async with bench() as desk:
            faults = OneLate(index)
            subject = await told(desk, tell, faults)
            assert isinstance(await looked_again(desk, subject), Processed)
            assert desk.sums() == expected, faults.paths
            late = faults.paths
        if not late:
            return
    pytest.fail("more writes than expected")
