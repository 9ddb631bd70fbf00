"""Payments while everything fails at once: answers lost, requests late, workers dying, events doubled and out of order.

The books must end as on a calm day, whatever chance does between the first event and a recheck after the last.
"""

import random
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.errors import NeedsPerson, Rejected, RemoteError, RetryLater
from handlers.event import SCHEDULE, Event, Work
from handlers.payments.settle import settle_payment
from handlers.recheck import RECHECK
from middleware.clients.connect import connect_invoice_ninja
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, create_app
from tests.support.fault_injection import Trouble, WorkerKilledError
from tests.support.payments.payment_bench import Bench, bench, events_of, stage
from tests.support.payments.stripe_story import Json, stories

ROUNDS, MOST_LOOKS = 25, 40


class Days:
    """The processor's part: which subjects are due, and which are in doubt."""

    def __init__(self, desk: Bench, chance: random.Random, trouble: Trouble) -> None:
        self._desk, self._chance, self._trouble = desk, chance, trouble
        self._due: set[str] = set()
        self._doubtful: set[str] = set()

    async def live(self, letters: list[Json]) -> None:
        """Store and settle these events while things fail; then heal, settle what is left, and look once more."""
        for _ in range(ROUNDS):
            while letters and self._chance.random() < 0.3:
                self._due.add(self._desk.store_told(letters.pop()))
            if self._due:
                await self._try(self._chance.choice(sorted(self._due)))
            if self._trouble.late and self._chance.random() < 0.2:
                await self._trouble.catch_up()
        self._due |= {self._desk.store_told(letter) for letter in letters}
        await self._trouble.catch_up()
        self._trouble.heal()
        for _ in range(MOST_LOOKS):
            if self._due:
                await self._try(min(self._due))
            elif self._doubtful:
                await self._try(self._doubtful.pop(), is_recheck=True)
            else:
                return
        raise AssertionError("it does not come to an end")

    async def _try(self, subject: str, *, is_recheck: bool = False) -> None:
        self._due.add(subject)
        events = self._desk.history.events[subject]
        newest = max(events, key=lambda event: (event.occurred_at, event.id))
        due = _recheck(newest) if is_recheck else events[-1]
        try:
            await settle_payment(Work(subject, (due,), newest), self._desk.context)
        except RetryLater as later:
            self._desk.clock.wait(later.delay)
        except (NeedsPerson, Rejected):
            self._due.discard(subject)
        except (RemoteError, WorkerKilledError):
            self._desk.clock.wait(5)
            self._doubtful.add(subject)
        else:
            self._due.discard(subject)


def _recheck(newest: Event) -> Event:
    before = newest.occurred_at - timedelta(microseconds=1)
    return replace(newest, id=0, source=SCHEDULE, type=RECHECK, key="look", occurred_at=before, payload={})


REFUND = st.tuples(st.integers(1, 4000), st.sampled_from(["succeeded", "pending", "failed"]))
REFUNDS = st.lists(REFUND, max_size=4).filter(lambda parts: sum(amount for amount, _ in parts) <= 8800)
TOLD = st.sampled_from(stories()) | REFUNDS.map(
    lambda parts: [("refund", f"re_{n}", amount, status) for n, (amount, status) in enumerate(parts, 1)]
)


async def told(desk: Bench, tale: Any, rules: dict[str, str]) -> list[Json]:
    """The invoice and the events of a recorded story, or of a payment with refunds."""
    if rules:
        desk.rule(**rules)
    return await (events_of(desk, tale) if isinstance(tale, list) else stage(desk, tale))


@pytest.mark.parametrize("rules", [{}, {"on_refund": "close"}])
@settings(max_examples=60)
@given(tale=TOLD, seed=st.integers(0, 2**32), share=st.sampled_from([0.1, 0.3, 0.5]))
async def test_sums_are_those_of_a_calm_day(rules: dict[str, str], tale: Any, seed: int, share: float) -> None:
    """Whatever fails, comes late or dies: every sum of clients and invoices is the one without any trouble."""
    async with bench() as calm:
        await calm.deliver_all(await told(calm, tale, rules))
        expected = calm.sums()
    chance = random.Random(seed)  # noqa: S311 - repeatable
    async with bench() as desk:
        events = await told(desk, tale, rules)
        trouble = Trouble(partial(create_app, desk.state), chance, share)
        await desk.ninja.aclose()
        desk.ninja = connect_invoice_ninja("http://ninja.test", DEFAULT_TOKEN, trouble)
        letters = events + chance.choices(events, k=chance.randint(0, 3))
        chance.shuffle(letters)
        await Days(desk, chance, trouble).live(letters)
        assert desk.sums() == expected
