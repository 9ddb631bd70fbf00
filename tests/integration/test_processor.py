"""The processor: how tries end, what is written down of them, and that no subject stays at work for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg
import pytest

from handlers.errors import NeedsPerson, Refused, RetryLater, Throttled, Unreachable
from handlers.event import Work
from handlers.outcome import Ignored, Outcome, Processed
from middleware import processor as processor_module
from middleware.clients.calls import Call, record
from middleware.processor import Limits, Processor
from middleware.store.claims import Claims
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.events import EventRow, EventStore
from tests.pipeline import claims, new_event, statuses, until

LIMITS = Limits(concurrency=8, attempt_timeout=5, sweep_seconds=0.05, keep_trying=timedelta(hours=72))
NINJA = "invoiceninja"


class Bench:
    """A processor on a real store, with a handler that does what a test wants."""

    def __init__(self, url: str, pool: asyncpg.Pool) -> None:
        self.url = url
        self.pool = pool
        self.store = EventStore(pool)
        self.works: list[Work] = []
        self.observed: list[tuple[str, str, str]] = []
        self.handle: Callable[[Work], Awaitable[Outcome]] = _done

    def processor(self, **limits: Any) -> Processor:
        """Another processor on the same store."""
        return Processor(self.url, self._dispatch, self._observe, replace(LIMITS, **limits))

    @asynccontextmanager
    async def running(self, **limits: Any) -> AsyncIterator[Processor]:
        """A processor at work, stopped in the end."""
        processor = self.processor(**limits)
        task = asyncio.create_task(processor.run())
        try:
            yield processor
        finally:
            await processor.stop(grace=5)
            await task

    async def settled(self, status: str, count: int = 1) -> None:
        """Wait until this many events are in a status."""
        await until(lambda: self._has(status, count))

    async def _has(self, status: str, count: int) -> bool:
        return (await statuses(self.pool)).get(status) == count

    async def row(self, event_id: int = 1) -> EventRow:
        """An event as it is now."""
        row = await self.store.find(event_id)
        assert row is not None
        return row

    async def _dispatch(self, work: Work) -> Outcome:
        self.works.append(work)
        return await self.handle(work)

    async def _observe(self, system: str, state: str, message: str) -> None:
        self.observed.append((system, state, message))


async def _done(_work: Work) -> Outcome:
    return Processed("done")


def failing(error: BaseException) -> Callable[[Work], Awaitable[Outcome]]:
    """A handler that always fails in this way."""

    async def handle(_work: Work) -> Outcome:
        raise error

    return handle


@pytest.fixture
async def bench(clean_database: str) -> AsyncIterator[Bench]:
    """An empty store and no handler."""
    async with open_pool(clean_database, size=2) as pool:
        yield Bench(clean_database, pool)


async def unlocked(bench: Bench) -> bool:
    """Whether no advisory lock is held any more."""
    return not await bench.pool.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


@pytest.mark.parametrize(
    ("outcome", "status"), [(Processed("the entry is there"), "processed"), (Ignored("not closed"), "ignored")]
)
async def test_outcome_and_attempt(bench: Bench, outcome: Outcome, status: str) -> None:
    """An outcome becomes the status with its reason, and the attempt keeps the calls that were made."""

    async def handle(_work: Work) -> Outcome:
        record(Call(NINJA, "GET", "/api/v1/tasks", 200, 12))
        return outcome

    bench.handle = handle
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled(status)
    row = await bench.row()
    assert (row.reason, row.attempts, row.finished_at is not None) == (outcome.reason, 1, True)
    (attempt,) = await bench.store.attempts(row.id)
    assert (attempt.number, attempt.outcome, attempt.reason) == (1, status, outcome.reason)
    assert attempt.calls == [
        {"system": NINJA, "method": "GET", "path": "/api/v1/tasks", "status": 200, "ms": 12, "error": None}
    ]
    assert bench.observed == [(NINJA, "ok", "answers")]


async def test_burst_is_one_try(bench: Bench) -> None:
    """A burst of one subject is settled by one try; the others name the event that stands for them."""
    await bench.store.store([new_event("s", seconds) for seconds in (2, 9, 4)])
    async with bench.running():
        await until(lambda: _finished(bench, 3))
    (work,) = bench.works
    newest = work.newest
    rows = {row.id: row for row in await bench.store.list()}
    assert rows.pop(newest.id).status == "processed"
    assert {row.reason for row in rows.values()} == {f"taken together with event {newest.id} of the same subject"}


async def _finished(bench: Bench, count: int) -> bool:
    now = await statuses(bench.pool)
    return now.get("processed", 0) + now.get("ignored", 0) == count


async def test_needs_a_person(bench: Bench) -> None:
    """What only a person can repair is dead at once, with reason and hint."""
    bench.handle = failing(NeedsPerson("bad hours", "type them again"))
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled("dead")
    row = await bench.row()
    assert (row.reason, row.hint, row.attempts) == ("bad hours", "type them again", 1)


async def due_in(bench: Bench) -> float:
    """Seconds until the next try of the only event."""
    return float(await bench.pool.fetchval("SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM events"))


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (Unreachable(NINJA, "GET /x", "no connection"), 0, 2),
        (Throttled(NINJA, "GET /x", "slowly", retry_after=40, status=429), 39, 50),
        (RetryLater("not yet", 20), 19, 20),
        (Refused(NINJA, "GET /x", "bad token", status=403), 55, 70),
        (StoreUnavailableError("PostgreSQL: too many connections"), 0, 2),
        (KeyError("oops"), 0, 2),
    ],
)
async def test_tried_again_later(bench: Bench, error: Exception, least: float, most: float) -> None:
    """Each way of failing waits as long as it should."""
    bench.handle = failing(error)
    await bench.store.store([new_event()])
    async with bench.running(sweep_seconds=60):
        await bench.settled("retrying")
        assert least <= await due_in(bench) + 0.5
        assert await due_in(bench) <= most


async def hurry(bench: Bench) -> None:
    """Make every waiting event due."""
    await bench.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")


async def test_unforeseen_error_is_tried_five_times(bench: Bench) -> None:
    """An error that nobody foresaw ends dead at the fifth try, and says so."""
    bench.handle = failing(ZeroDivisionError("a mistake of ours"))
    await bench.store.store([new_event()])
    async with bench.running():
        for attempt in range(1, 5):
            await until(partial(_waits_after, bench, attempt))
            await hurry(bench)
        await bench.settled("dead")
    row = await bench.row()
    assert (row.attempts, row.reason) == (5, "unforeseen ZeroDivisionError: a mistake of ours")
    assert "report it" in row.hint
    assert [attempt.number for attempt in await bench.store.attempts(1)] == [1, 2, 3, 4, 5]


async def _waits_after(bench: Bench, attempts: int) -> bool:
    row = await bench.row()
    return (row.status, row.attempts) == ("retrying", attempts)


async def test_gives_up_after_the_time(bench: Bench) -> None:
    """A failure that lasts longer than RETRY_HOURS is for a person; refused credentials wait as long as it takes."""
    await bench.store.store([new_event("a"), new_event("b")])
    await bench.pool.execute("UPDATE events SET series_started_at = now() - interval '73 hours', attempts = 40")

    async def handle(work: Work) -> Outcome:
        if work.subject == "a":
            raise Unreachable(NINJA, "GET /x", "no connection")
        raise Refused(NINJA, "GET /x", "bad token", status=403)

    bench.handle = handle
    async with bench.running():
        await bench.settled("dead")
        await bench.settled("retrying")
    rows = {row.subject: row for row in await bench.store.list()}
    assert rows["a"].reason == "gave up after 72 hours: invoiceninja: GET /x: no connection"
    assert "INVOICE_NINJA_TOKEN" in rows["b"].hint
    assert sorted(bench.observed) == [
        (NINJA, "refused", "bad token"),
        (NINJA, "unreachable", "no connection"),
    ]


async def test_try_that_takes_too_long(bench: Bench) -> None:
    """A try that hangs is cut, and tried again later."""

    async def hang(_work: Work) -> Outcome:
        await asyncio.sleep(60)
        return Processed("never")

    bench.handle = hang
    await bench.store.store([new_event()])
    async with bench.running(attempt_timeout=0.05):
        await bench.settled("retrying")
    assert (await bench.row()).reason == "the try took longer than 0 s"


async def test_own_timeout_of_a_handler_is_not_that_of_the_try(bench: Bench) -> None:
    """A time limit inside the handler keeps its own words."""
    bench.handle = failing(TimeoutError("the pool was busy"))
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled("retrying")
    assert (await bench.row()).reason == "the pool was busy"


async def test_body_that_cannot_be_decoded(bench: Bench) -> None:
    """A stored body that cannot be read is dead with a reason, not tried for days."""
    await bench.store.store([new_event(body=b"[" * 200_000)])
    async with bench.running():
        await bench.settled("dead")
    assert "the stored body cannot be decoded" in (await bench.row()).reason


async def test_numbers_keep_their_digits(bench: Bench) -> None:
    """Fractions reach the handler exactly, and numbers of any length do not break it."""
    body = b'{"hours": 0.1, "long": ' + b"9" * 5000 + b"}"
    await bench.store.store([new_event(body=body)])
    async with bench.running():
        await bench.settled("processed")
    payload = bench.works[0].newest.payload
    assert str(payload["hours"]) == "0.1"
    assert payload["long"] > 10**4000


async def test_first_look_and_later_ones(bench: Bench) -> None:
    """The handler is told whether an event is looked at for the first time: not after a try, not after a replay."""
    bench.handle = failing(RetryLater("again", 0))
    await bench.store.store([new_event()])
    async with bench.running():
        await until(lambda: _looked(bench, 2))
        bench.handle = _done
        await bench.settled("processed")
        await bench.store.replay(1)
        bench.works.clear()
        await until(lambda: _looked(bench, 1))
        await bench.settled("processed")
    assert [work.newest.is_fresh for work in bench.works] == [False]


async def test_first_look_is_fresh(bench: Bench) -> None:
    """An event that just arrived is fresh."""
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled("processed")
    assert bench.works[0].newest.is_fresh


async def _looked(bench: Bench, count: int) -> bool:
    return len(bench.works) >= count


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
        return Processed("done")

    bench.handle = handle
    async with bench.running() as one, bench.running() as other:
        for number in range(60):
            await bench.store.store([new_event(f"s{number % 7}", number)])
            one.wake()
            other.wake()
            await asyncio.sleep(0.001)
        await until(lambda: _finished(bench, 60))
    assert sorted(seen) == list(range(1, 61))


async def test_failing_subject_does_not_hold_up_others(bench: Bench) -> None:
    """While one subject fails and another hangs, the rest goes through."""
    hanging = asyncio.Event()

    async def handle(work: Work) -> Outcome:
        if work.subject == "bad":
            raise Unreachable(NINJA, "GET /x", "no connection")
        if work.subject == "slow":
            await hanging.wait()
        return Processed("done")

    bench.handle = handle
    async with bench.running(concurrency=2):
        await bench.store.store([new_event("bad"), new_event("slow"), *(new_event(f"s{n}") for n in range(20))])
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
        return Processed("done")

    bench.handle = handle
    await bench.store.store([new_event(f"s{number}") for number in range(30)])
    async with bench.running(concurrency=3):
        await bench.settled("processed", 30)
    assert most == 3


async def test_lost_wakeups_are_healed(bench: Bench) -> None:
    """An event that nobody announced is found by the sweep."""
    async with bench.running(sweep_seconds=0.05):
        await bench.store.store([new_event()])
        await bench.settled("processed")


async def test_stop_finishes_what_is_in_hand(bench: Bench) -> None:
    """Stopping waits for the tries in hand, settles them, and takes nothing new."""
    started, go = asyncio.Event(), asyncio.Event()

    async def handle(_work: Work) -> Outcome:
        started.set()
        await go.wait()
        return Processed("done")

    bench.handle = handle
    await bench.store.store([new_event("a")])
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await started.wait()
    stopping = asyncio.create_task(processor.stop(grace=5))
    await asyncio.sleep(0.01)
    await bench.store.store([new_event("b")])
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
        return Processed("never")

    bench.handle = hang
    await bench.store.store([new_event("a", seconds) for seconds in (1, 2)])
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await started.wait()
    await processor.stop(grace=0.01)
    await running
    rows = await bench.store.list()
    assert {(row.status, row.reason) for row in rows} == {("retrying", "handed back: the worker was stopped")}
    await until(lambda: unlocked(bench))
    bench.handle = _done
    async with bench.running():
        await until(lambda: _finished(bench, 2))


async def test_stop_in_the_middle_of_a_claim(bench: Bench) -> None:
    """A claim that comes back while the worker stops is finished or handed back, and leaves no lock."""
    await bench.store.store([new_event("a")])
    blocker = await asyncpg.connect(bench.url)
    await blocker.execute("BEGIN; SELECT * FROM events FOR UPDATE")
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await until(lambda: _somebody_waits(bench))
    stopping = asyncio.create_task(processor.stop(grace=5))
    await asyncio.sleep(0.01)
    await blocker.execute("COMMIT")
    await stopping
    await running
    await blocker.close()
    assert await statuses(bench.pool) == {"processed": 1}
    await until(lambda: unlocked(bench))


async def _somebody_waits(bench: Bench) -> bool:
    return bool(await bench.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


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
        return Processed("never")

    bench.handle = hang
    await bench.store.store([new_event()])
    running = asyncio.create_task(bench.processor().run())
    await started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.wait_for(ended.wait(), 5)
    await until(lambda: unlocked(bench))
    bench.handle = _done
    async with bench.running():
        await bench.settled("processed")


async def test_lost_locks_cancel_the_work(bench: Bench) -> None:
    """When the connection with the locks is cut, the tries in hand end at once and the work is done again, once."""
    started = asyncio.Event()
    cancelled: list[int] = []

    async def handle(work: Work) -> Outcome:
        if len(bench.works) > 1:
            return Processed("done")
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(work.newest.id)
            raise
        return Processed("never")

    bench.handle = handle
    await bench.store.store([new_event()])
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
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled("retrying")
    assert (await bench.row()).reason == "unforeseen OverflowError: too far"
    await until(lambda: unlocked(bench))


async def test_report_that_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A try whose line cannot be written is settled all the same."""

    def broken(*_arguments: object) -> None:
        raise ValueError("no such label")

    monkeypatch.setattr(processor_module, "report", broken)
    await bench.store.store([new_event()])
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
    await bench.store.store([new_event()])
    async with bench.running():
        await bench.settled("processed")
    assert (await bench.row()).attempts == 2


async def test_room(bench: Bench) -> None:
    """A busy worker says when it has room again, without spinning."""
    go = asyncio.Event()

    async def handle(_work: Work) -> Outcome:
        await go.wait()
        return Processed("done")

    bench.handle = handle
    async with bench.running(concurrency=1) as processor:
        await processor.room()
        await bench.store.store([new_event()])
        await until(lambda: _looked(bench, 1))
        waiting = asyncio.create_task(processor.room())
        await asyncio.sleep(0.02)
        assert not waiting.done()
        go.set()
        await waiting


async def test_orphans_of_a_dead_worker(bench: Bench) -> None:
    """Work of a worker that vanished is taken over by the next sweep."""
    async with claims(bench.url) as held:
        await bench.store.store([new_event()])
        assert await held.claim(1, [])
    assert await statuses(bench.pool) == {"processing": 1}
    async with bench.running():
        await bench.settled("processed")
    assert (await bench.row()).attempts == 2
