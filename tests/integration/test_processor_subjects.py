"""The processor and its subjects: one at a time, stopping, lost locks, and its own mistakes."""

import asyncio
from typing import Any

import asyncpg
import pytest

from handlers.errors import Unreachable
from handlers.event import Work
from handlers.outcome import Outcome, Processed
from mappings.codes import Code
from middleware.pipeline import processor as processor_module
from middleware.store.events.claims import Claims
from tests.support.pipeline import claims, new_event, statuses, until
from tests.support.processor_bench import (
    NINJA,
    Bench,
    done,
    finished,
    looked,
    somebody_waits,
    unlocked,
)


async def test_one_subject_at_a_time_over_two_workers(bench: Bench) -> None:
    """Two workers never hold one subject at the same time, whatever arrives meanwhile."""
    busy: set[str] = set()
    seen: list[int] = []

    async def handle(work: Work) -> Outcome:
        assert work.subject not in busy
        busy.add(work.subject)
        await asyncio.sleep(0.002)
        seen.extend(event.id for event in work.due)
        busy.discard(work.subject)
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    async with bench.running() as one, bench.running() as other:
        for number in range(60):
            await bench.store.insert([new_event(f"s{number % 7}", number)])
            one.wake()
            other.wake()
            await asyncio.sleep(0.001)
        await until(lambda: finished(bench, 60))
    assert sorted(seen) == list(range(1, 61))


async def test_failing_subject_does_not_hold_up_others(bench: Bench) -> None:
    """While one subject fails and another hangs, the rest goes through."""
    hanging = asyncio.Event()

    async def handle(work: Work) -> Outcome:
        if work.subject == "bad":
            raise Unreachable(NINJA, "GET /x", "no connection")
        if work.subject == "slow":
            await hanging.wait()
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    async with bench.running(concurrency=2):
        await bench.store.insert([new_event("bad"), new_event("slow"), *(new_event(f"s{n}") for n in range(20))])
        await bench.settled("processed", 20)
        hanging.set()


async def test_no_more_at_a_time_than_configured(bench: Bench) -> None:
    """At most as many subjects as configured are in hand."""
    running, most = 0, 0

    async def handle(_work: Work) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    await bench.store.insert([new_event(f"s{number}") for number in range(30)])
    async with bench.running(concurrency=3):
        await bench.settled("processed", 30)
    assert most == 3


async def test_lost_wakeups_are_healed(bench: Bench) -> None:
    """An event that nobody announced is found by the sweep."""
    async with bench.running(sweep_seconds=0.05):
        await bench.store.insert([new_event()])
        await bench.settled("processed")


async def test_stop_finishes_what_is_in_hand(bench: Bench) -> None:
    """Stopping waits for the tries in hand, settles them, and takes nothing new."""
    started, go = asyncio.Event(), asyncio.Event()

    async def handle(_work: Work) -> Outcome:
        started.set()
        await go.wait()
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    await bench.store.insert([new_event("a")])
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await started.wait()
    stopping = asyncio.create_task(processor.stop(grace=5))
    await asyncio.sleep(0.01)
    await bench.store.insert([new_event("b")])
    go.set()
    await stopping
    await running
    assert await statuses(bench.pool) == {"processed": 1, "received": 1}
    await until(lambda: unlocked(bench))


async def test_stop_hands_back_what_does_not_finish(bench: Bench) -> None:
    """What does not finish within the grace is handed back at once, and another worker does it."""
    started = asyncio.Event()

    async def hang(_work: Work) -> Outcome:
        started.set()
        await asyncio.sleep(60)
        return Processed(Code.TIME_RECORDED, "never")

    bench.handle = hang
    await bench.store.insert([new_event("a", seconds) for seconds in (1, 2)])
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await started.wait()
    await processor.stop(grace=0.01)
    await running
    rows = await bench.store.list()
    assert {(row.status, row.reason) for row in rows} == {("retrying", "handed back: the worker was stopped")}
    await until(lambda: unlocked(bench))
    bench.handle = done
    async with bench.running():
        await until(lambda: finished(bench, 2))


async def test_stop_in_the_middle_of_a_claim(bench: Bench) -> None:
    """A claim that comes back while the worker stops is finished or handed back, and leaves no lock."""
    await bench.store.insert([new_event("a")])
    blocker = await asyncpg.connect(bench.url)
    await blocker.execute("BEGIN; SELECT * FROM events FOR UPDATE")
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await until(lambda: somebody_waits(bench))
    stopping = asyncio.create_task(processor.stop(grace=5))
    await asyncio.sleep(0.01)
    await blocker.execute("COMMIT")
    await stopping
    await running
    await blocker.close()
    assert await statuses(bench.pool) == {"processed": 1}
    await until(lambda: unlocked(bench))


async def test_stop_without_start(bench: Bench) -> None:
    """A processor that never ran stops."""
    await bench.processor().stop(grace=1)


async def test_cancelled_without_stop(bench: Bench) -> None:
    """A processor that is cancelled lets its work go: nothing goes on behind its back, and others can take it."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(_work: Work) -> Outcome:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Processed(Code.TIME_RECORDED, "never")

    bench.handle = hang
    await bench.store.insert([new_event()])
    running = asyncio.create_task(bench.processor().run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(ended.wait(), 60)
    await until(lambda: unlocked(bench))
    bench.handle = done
    async with bench.running():
        await bench.settled("processed")


async def test_lost_locks_cancel_the_work(bench: Bench) -> None:
    """When the connection with the locks is cut, the tries in hand end at once and the work is done again, once."""
    started = asyncio.Event()
    cancelled: list[int] = []

    async def handle(work: Work) -> Outcome:
        if len(bench.works) > 1:
            return Processed(Code.TIME_RECORDED, "done")
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(work.newest.id)
            raise
        return Processed(Code.TIME_RECORDED, "never")

    bench.handle = handle
    await bench.store.insert([new_event()])
    async with bench.running():
        await started.wait()
        await bench.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
        )
        await bench.settled("processed")
    assert cancelled == [1]
    assert (await bench.row()).attempts == 2


async def test_policy_that_stumbles(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a mistake in the retry policy itself frees the subject and keeps the event."""

    def broken(*_arguments: object) -> None:
        raise OverflowError("too far")

    monkeypatch.setattr(processor_module, "judge", broken)
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("retrying")
    assert (await bench.row()).reason == "unforeseen OverflowError: too far"
    await until(lambda: unlocked(bench))


async def test_report_that_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A try whose line cannot be written is settled all the same."""

    def broken(*_arguments: object) -> None:
        raise ValueError("no such label")

    monkeypatch.setattr(processor_module, "report", broken)
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("processed")


async def test_settlement_that_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A settlement that fails in a way nobody foresaw does not stop the worker: its events are done again."""
    failures = [TypeError("a mistake of ours")]
    settle = Claims.settle

    async def once_broken(self: Any, *arguments: Any) -> None:
        if failures:
            raise failures.pop()
        await settle(self, *arguments)

    monkeypatch.setattr(Claims, "settle", once_broken)
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("processed")
    assert (await bench.row()).attempts == 2


async def test_room(bench: Bench) -> None:
    """A busy worker says when it has room again, without spinning."""
    go = asyncio.Event()

    async def handle(_work: Work) -> Outcome:
        await go.wait()
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    async with bench.running(concurrency=1) as processor:
        await processor.room()
        await bench.store.insert([new_event()])
        await until(lambda: looked(bench, 1))
        waiting = asyncio.create_task(processor.room())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        go.set()
        await waiting


async def test_orphans_of_a_dead_worker(bench: Bench) -> None:
    """Work of a worker that vanished is taken over by the next sweep."""
    async with claims(bench.url) as held:
        await bench.store.insert([new_event()])
        assert await held.claim(1, [])
    assert await statuses(bench.pool) == {"processing": 1}
    async with bench.running():
        await bench.settled("processed")
    assert (await bench.row()).attempts == 2
