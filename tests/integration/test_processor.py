"""The processor: how tries end, what is written down of them, and that no subject stays at work for ever."""

import asyncio
from datetime import datetime, timedelta, tzinfo
from functools import partial

import pytest

from handlers.errors import NeedsPerson, Refused, RetryLater, Throttled, Unreachable
from handlers.event import Work
from handlers.outcome import Ignored, Outcome, Processed
from mappings.codes import Code
from middleware.clients.http.calls import Call, record
from middleware.pipeline import processor as processor_module
from middleware.store.database import StoreUnavailableError
from middleware.store.events import claims as claims_module
from middleware.store.events.actions import EventActions
from tests.support.pipeline import new_event, until
from tests.support.processor_bench import (
    NINJA,
    Bench,
    done,
    due_in,
    failing,
    finished,
    hurry,
    looked,
    waits_after,
)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Processed(Code.NOT_CLOSED, "the entry is there"), "processed"),
        (Ignored(Code.NOT_CLOSED, "not closed"), "ignored"),
    ],
)
async def test_outcome_and_attempt(bench: Bench, outcome: Outcome, status: str) -> None:
    """An outcome becomes the status with its reason, and the attempt keeps the calls that were made."""

    async def handle(_work: Work) -> Outcome:
        record(Call(NINJA, "GET", "/api/v1/tasks", 200, 12))
        return outcome

    bench.handle = handle
    await bench.store.insert([new_event()])
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
    await bench.store.insert([new_event("s", seconds) for seconds in (2, 9, 4)])
    async with bench.running():
        await until(lambda: finished(bench, 3))
    (work,) = bench.works
    newest = work.newest
    rows = {row.id: row for row in await bench.store.list()}
    assert rows.pop(newest.id).status == "processed"
    assert {row.reason for row in rows.values()} == {f"taken together with event {newest.id} of the same subject"}


async def test_needs_a_person(bench: Bench) -> None:
    """What only a person can repair is dead at once, with reason and hint."""
    bench.handle = failing(NeedsPerson(Code.BAD_HOURS, "bad hours", "type them again"))
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("dead")
    row = await bench.row()
    assert (row.reason, row.hint, row.attempts) == ("bad hours", "type them again", 1)


@pytest.mark.parametrize(
    ("error", "least", "most"),
    [
        (Unreachable(NINJA, "GET /x", "no connection"), 0, 2),
        (Throttled(NINJA, "GET /x", "slowly", retry_after=40, status=429), 39, 50),
        (RetryLater(Code.CHANGED_MEANWHILE, "not yet", 20), 19, 20),
        (Refused(NINJA, "GET /x", "bad token", status=403), 55, 70),
        (StoreUnavailableError("PostgreSQL: too many connections"), 0, 2),
        (KeyError("oops"), 0, 2),
    ],
)
async def test_tried_again_later(bench: Bench, error: Exception, least: float, most: float) -> None:
    """Each way of failing waits as long as it should."""
    bench.handle = failing(error)
    await bench.store.insert([new_event()])
    async with bench.running(sweep_seconds=60):
        await bench.settled("retrying")
        assert least <= await due_in(bench) + 0.5
        assert await due_in(bench) <= most


@pytest.mark.parametrize("years", [-10, 10])
async def test_wrong_clock_of_a_worker(bench: Bench, monkeypatch: pytest.MonkeyPatch, years: int) -> None:
    """How long to wait is counted by the clock that tells what is due: no wait is skipped, and none takes years."""

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Wrong":
            return super().now(tz) + timedelta(days=365 * years)

    for module in (processor_module, claims_module):
        monkeypatch.setattr(module, "datetime", Wrong, raising=False)
    bench.handle = failing(RetryLater(Code.CHANGED_MEANWHILE, "not yet", 20))
    await bench.store.insert([new_event()])
    async with bench.running(sweep_seconds=60):
        await until(partial(waits_after, bench, 1))
    assert 15 < await due_in(bench) < 21


async def test_unforeseen_error_is_tried_five_times(bench: Bench) -> None:
    """An error that nobody foresaw ends dead at the fifth try, and says so."""
    bench.handle = failing(ZeroDivisionError("a mistake of ours"))
    await bench.store.insert([new_event()])
    async with bench.running():
        for attempt in range(1, 5):
            await until(partial(waits_after, bench, attempt))
            await hurry(bench)
        await bench.settled("dead")
    row = await bench.row()
    assert (row.attempts, row.reason) == (5, "unforeseen ZeroDivisionError: a mistake of ours")
    assert "report it" in row.hint
    assert [attempt.number for attempt in await bench.store.attempts(1)] == [1, 2, 3, 4, 5]


async def test_gives_up_after_the_time(bench: Bench) -> None:
    """A failure that lasts longer than RETRY_HOURS is for a person; refused credentials wait as long as it takes."""
    await bench.store.insert([new_event("a"), new_event("b")])
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
        return Processed(Code.TIME_RECORDED, "never")

    bench.handle = hang
    await bench.store.insert([new_event()])
    async with bench.running(attempt_timeout=0.05):
        await bench.settled("retrying")
    assert (await bench.row()).reason == "the attempt took longer than 0 s"


async def test_own_timeout_of_a_handler_is_not_that_of_the_try(bench: Bench) -> None:
    """A time limit inside the handler keeps its own words."""
    bench.handle = failing(TimeoutError("the pool was busy"))
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("retrying")
    assert (await bench.row()).reason == "the pool was busy"


async def test_body_that_cannot_be_decoded(bench: Bench) -> None:
    """A stored body that cannot be read is dead with a reason, not tried for days."""
    await bench.store.insert([new_event(body=b"[" * 200_000)])
    async with bench.running():
        await bench.settled("dead")
    assert "the stored body cannot be decoded" in (await bench.row()).reason


async def test_numbers_keep_their_digits(bench: Bench) -> None:
    """Fractions reach the handler exactly, and numbers of any length do not break it."""
    body = b'{"hours": 0.1, "long": ' + b"9" * 5000 + b"}"
    await bench.store.insert([new_event(body=body)])
    async with bench.running():
        await bench.settled("processed")
    payload = bench.works[0].newest.payload
    assert str(payload["hours"]) == "0.1"
    assert payload["long"] > 10**4000


async def test_first_look_and_later_ones(bench: Bench) -> None:
    """The handler is told whether an event is looked at for the first time: not after a try, not after a replay."""
    bench.handle = failing(RetryLater(Code.CHANGED_MEANWHILE, "again", 0))
    await bench.store.insert([new_event()])
    async with bench.running():
        await until(lambda: looked(bench, 2))
        bench.handle = done
        await bench.settled("processed")
        await EventActions(bench.pool).replay([1], "ada")
        bench.works.clear()
        await until(lambda: looked(bench, 1))
        await bench.settled("processed")
    assert [work.newest.is_fresh for work in bench.works] == [False]


async def test_first_look_is_fresh(bench: Bench) -> None:
    """An event that just arrived is fresh."""
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("processed")
    assert bench.works[0].newest.is_fresh
