"""At a slow pace work by the clock lasts long, and never fails; it always goes on, and leaves the way to the events."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from handlers.errors import Suspended
from handlers.reconcile.taiga import TaigaReconciliation
from handlers.reconcile.taiga_models import Report, Scope
from mappings.taiga.models import WorkItem, WorkKind
from middleware.store.operations.circuits import CircuitStore
from middleware.traffic.circuits import Circuits
from middleware.traffic.gate import Gate, TrafficLimits, low_priority
from middleware.traffic.limits import LAST_MOMENT, LONGEST_PATIENCE, LowPriority, RateLimiter
from tests.support.reconcile.reconcile_fakes import Board, FakeLists, FakeSink
from tests.support.virtual_time import elapsed, run_in_virtual_time
from tests.support.webhook_story import START

SLOW = 0.05
TAIGA = "taiga"


class NoStore(CircuitStore):
    """No circuit is ever opened here, so nothing is stored."""

    def __init__(self) -> None:
        """Without a database."""


class SlowLists(FakeLists):
    """Taiga's lists behind a way with its pace: a request for each list, and for each item."""

    def __init__(self, board: Board, way: Gate) -> None:
        super().__init__(board.taiga)
        self.modified = board.lists.modified
        self.way = way

    async def closed_items(self, kind: WorkKind, project_id: int) -> AsyncIterator[WorkItem]:
        """All closed items of a project."""
        async with self.way.admit("list"):
            rows = [row async for row in super().closed_items(kind, project_id)]
        for row in rows:
            yield row

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Whether our account sees a project."""
        async with self.way.admit("project"):
            return await super().may_list(kind, project_id)

    async def with_attributes(self, item: WorkItem) -> WorkItem:
        """A row with its values."""
        async with self.way.admit("values"):
            return await super().with_attributes(item)


def _way(rate: float = SLOW) -> Gate:
    return Gate(TAIGA, TrafficLimits(40, rate), Circuits(NoStore(), {}), interactive=False, timer=elapsed)


def _now() -> datetime:
    return START + timedelta(days=1, seconds=elapsed())


async def _reconcile(board: Board, lists: FakeLists, scope: Scope) -> Report:
    """A run by the clock."""
    low_priority.set(True)
    sink = FakeSink(board, settles=False)
    return await TaigaReconciliation(lists, board.seen, board.world.mapping, _now, sink).run(scope)


async def _for_at_most(seconds: float, work: Coroutine[Any, Any, Any]) -> bool:
    """Whether it came to its end before its worker was stopped."""
    task = asyncio.create_task(work)
    await asyncio.wait([task], timeout=seconds)
    is_over = task.done()
    task.cancel()
    await asyncio.wait([task])
    return is_over


@pytest.mark.parametrize("rate", [0.4, SLOW, 0.001])
def test_a_slow_run_is_only_long(rate: float) -> None:
    """However far its turns are away: every item is looked at, at the pace that is allowed."""
    board = Board()
    for _ in range(30):
        board.closed(1)

    async def main() -> None:
        report = await _reconcile(board, SlowLists(board, _way(rate)), Scope(rolling=0))
        assert (report.items_read, report.postponed, report.problems) == (30, 0, ())
        assert (len(board.keys), len(board.seen.rows)) == (30, 30)
        requests = 30 + 3
        assert elapsed() == pytest.approx((requests - 1) / rate, abs=2 / rate)

    run_in_virtual_time(main())


def test_a_run_that_is_ended_again_and_again_goes_on_where_it_stopped() -> None:
    """Its worker is restarted every ten minutes, which is time for 30 requests: each run does its part."""
    board = Board()
    for _ in range(100):
        board.closed(1)
    done = [0]

    async def main() -> None:
        lists = SlowLists(board, _way())
        while not await _for_at_most(600, _reconcile(board, lists, Scope(rolling=0))):
            assert len(board.seen.rows) > done[-1]
            done.append(len(board.seen.rows))
        assert len(board.keys) == len(set(board.keys)) == len(board.seen.rows) == 100

    run_in_virtual_time(main())
    assert 3 <= len(done) <= 6


def test_the_rolling_look_goes_on_where_it_stopped() -> None:
    """Hours typed after closing: found by runs that never come to their end, too."""
    board = Board()
    cards = [board.closed(hours=None) for _ in range(40)]

    async def main() -> None:
        await _reconcile(board, board.lists, Scope(rolling=0))
        for card in cards:
            board.change(card, lambda story: story.type(hours=1), silently=True)
        lists, runs = SlowLists(board, _way()), 0
        while len(board.keys) < len(cards):
            assert not await _for_at_most(500, _reconcile(board, lists, Scope(rolling=100)))
            runs += 1
            assert runs < 10
        assert len(set(board.keys)) == len(cards)

    run_in_virtual_time(main())


async def _ask(way: Gate, number: int, sent: list[float]) -> None:
    """An event's requests, one after the other; one that is put off comes again when it is told to."""
    for _ in range(number):
        while True:
            try:
                async with way.admit("event"):
                    sent.append(elapsed())
                    break
            except Suspended as put_off:
                # The sweep of the worker finds it a little later.
                await asyncio.sleep(put_off.delay + 2)


@pytest.mark.parametrize("rate", [0.3, 0.04])
def test_events_go_first(rate: float) -> None:
    """While a run takes every turn that is left, an event gets the next one, or the one after it, each time."""

    async def main() -> None:
        way, sent, stop = _way(rate), list[float](), asyncio.Event()

        async def run_by_clock() -> None:
            low_priority.set(True)
            while not stop.is_set():
                async with way.admit("run"):
                    pass

        running = [asyncio.create_task(run_by_clock()) for _ in range(8)]
        await asyncio.sleep(3 / rate)
        begun = elapsed()
        await _ask(way, 5, sent)
        assert sent[-1] - begun <= 5 * 2 / rate
        stop.set()
        await asyncio.gather(*running)

    run_in_virtual_time(main())


def test_a_busy_way_never_shuts_it_out() -> None:
    """Events that fill the way for hours: a request in no hurry takes its place among them after a minute."""

    async def main() -> None:
        pace = RateLimiter(0.5)
        leftovers = LowPriority(pace, elapsed)

        async def crowd() -> None:
            while True:
                while pace.reserve(elapsed(), 20) is not None:
                    pass
                await asyncio.sleep(0.1)

        crowding = asyncio.create_task(crowd())
        await asyncio.sleep(1)
        for turn in range(1, 6):
            await leftovers.turn()
            assert elapsed() <= 1 + turn * (LONGEST_PATIENCE + 25)
        crowding.cancel()

    run_in_virtual_time(main())


def test_nobody_waits_longer_than_the_pace_asks_for() -> None:
    """Alone on its way, work in no hurry is as fast as any other; without a limit it does not wait at all."""

    async def turns(rate: float, number: int) -> float:
        leftovers = LowPriority(RateLimiter(rate), elapsed)
        await asyncio.gather(*(leftovers.turn() for _ in range(number)))
        return elapsed()

    assert run_in_virtual_time(turns(0, 100)) == 0
    assert run_in_virtual_time(turns(20, 101)) == pytest.approx(5, abs=0.2)
    assert run_in_virtual_time(turns(0.1, 11)) == pytest.approx(100, abs=LAST_MOMENT)


def test_a_place_is_not_held_while_waiting() -> None:
    """With one place only, an event passes while a request in no hurry waits for its turn."""

    async def main() -> None:
        way, order = (
            Gate(TAIGA, TrafficLimits(1, SLOW), Circuits(NoStore(), {}), interactive=False, timer=elapsed),
            list[str](),
        )

        async def ask(name: str, *, is_patient: bool) -> None:
            low_priority.set(is_patient)
            async with way.admit(name):
                order.append(name)

        await ask("first", is_patient=False)
        waiting = asyncio.create_task(ask("run", is_patient=True))
        await asyncio.sleep(1)
        await ask("event", is_patient=False)
        await waiting
        assert order == ["first", "event", "run"]

    run_in_virtual_time(main())
