"""Requests that are carried out late: remembered with the try that gave them up, looked at once more, repaired."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import asyncpg
import pytest

from handlers.event import Work
from handlers.outcome import Outcome, Processed
from handlers.recheck import RECHECK
from mappings.codes import Code
from middleware.clients.http.calls import Call, record
from middleware.intake.ingest import Ingest
from middleware.pipeline.attempt import HANDED_BACK
from middleware.store.events.claim_records import Doubt
from middleware.store.events.claims import ORPHANED
from middleware.store.events.events import EventStore
from middleware.store.events.rechecks import RecheckStore, remember_doubts
from tests.support.in_process_bridge import Bridge, running_bridge
from tests.support.pipeline import claims, event_store, finish, new_event, until
from tests.support.processor_bench import NINJA, Bench, looked

NOW = timedelta(0)
LATER = timedelta(minutes=5)


@pytest.fixture
async def bridge(clean_database: str, fresh_redis: str) -> AsyncIterator[Bridge]:
    """A bridge on an empty store."""
    async with running_bridge(clean_database, fresh_redis) as running:
        yield running


async def settled(bridge: Bridge) -> None:
    """All webhooks are delivered and settled until nothing comes any more."""
    while True:
        told = await bridge.deliver()
        await bridge.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")
        if not told and not await bridge.count("finished_at IS NULL"):
            return
        await bridge.settle()


async def begun(pool: asyncpg.Pool, wait: timedelta = NOW) -> list[int]:
    """The events of the rechecks that begin now."""
    return await RecheckStore(pool).begin(wait, Ingest(EventStore(pool), lambda _ids: None))


async def look_of(pool: asyncpg.Pool) -> asyncpg.Record:
    """The only event of a recheck."""
    (row,) = await pool.fetch("SELECT id, subject, status, reason, body FROM events WHERE type = $1", RECHECK)
    return row


async def test_late_update_is_repaired(bridge: Bridge) -> None:
    """Three hours were written, given up and written again as four; then the three arrive: the recheck repairs."""
    card = bridge.work(hours=2).close()
    await settled(bridge)
    bridge.ninja_faults.add(method="PUT", path="/tasks/", action="late", seconds=3600)
    card.set("Duration (Hours)", 3)
    await settled(bridge)
    card.set("Duration (Hours)", 4)
    await settled(bridge)
    await bridge.ninja_faults.catch_up()
    assert await bridge.entries() == {"TAIGA-T1": "3"}

    looks = RecheckStore(bridge.pool)
    waiting = await looks.waiting("taiga:task:1")
    assert waiting is not None
    assert waiting.why.startswith("invoiceninja: PUT /api/v1/tasks/")
    assert await begun(bridge.pool, LATER) == []
    assert len(await begun(bridge.pool)) == 1
    await settled(bridge)
    assert await bridge.entries() == {"TAIGA-T1": "4"}
    row = await look_of(bridge.pool)
    assert (row["status"], row["reason"]) == ("processed", "TAIGA-T1 updated: 4 h at 75.00")
    assert json.loads(row["body"])["because"] == waiting.why
    assert (await looks.waiting("taiga:task:1"), await begun(bridge.pool)) == (None, [])


async def test_late_creation_is_removed(bridge: Bridge) -> None:
    """The entry was asked for and given up, the task was deleted, and then the entry is made: it is removed again."""
    bridge.ninja_faults.add(method="POST", path="/tasks$", action="late", seconds=3600)
    card = bridge.work().close()
    await bridge.deliver()
    await bridge.settle()
    card.delete()
    await settled(bridge)
    await bridge.ninja_faults.catch_up()
    assert (await bridge.ninja.find_task("TAIGA-T1")) is not None
    await begun(bridge.pool)
    await settled(bridge)
    task = await bridge.ninja.find_task("TAIGA-T1")
    assert task is not None
    assert task.is_deleted
    assert "TAIGA-T1 removed (2 h)" in (await look_of(bridge.pool))["reason"]


async def test_nothing_is_in_doubt_on_a_calm_day(bridge: Bridge) -> None:
    """Requests that were answered, refused or never sent call for no recheck."""
    bridge.ninja_faults.add(method="GET", status=500)
    bridge.ninja_faults.add(method="POST", path="/tasks$", status=429, retry_after=0)
    bridge.work().close()
    await settled(bridge)
    assert await bridge.entries() == {"TAIGA-T1": "2"}
    assert await bridge.pool.fetchval("SELECT count(*) FROM second_looks") == 0


async def test_dead_worker(clean_database: str) -> None:
    """What a worker that died may have asked for is looked at again, once for each subject."""
    async with event_store(clean_database) as (store, pool):
        await store.insert([new_event("s"), new_event("s", 1), new_event("other")])
        async with claims(clean_database) as held:
            assert len(await held.claim(5, [])) == 2
        async with claims(clean_database) as heir:
            assert await heir.release_orphans([]) == 3
            for claim in await heir.claim(5, []):
                await finish(heir, claim)
        looks = RecheckStore(pool)
        waiting = await looks.waiting("s")
        assert waiting is not None
        assert waiting.why == ORPHANED
        assert len(await begun(pool)) == 2
        async with claims(clean_database) as held:
            newest = {claim.subject: claim.newest.type for claim in await held.claim(5, [])}
        # The handler of the subject does it, by its newest event.
        assert newest == {"s": "task.change", "other": "task.change"}


async def test_later_doubt_postpones(clean_database: str) -> None:
    """There is one recheck for a subject, counted from the last request without an answer."""
    async with event_store(clean_database) as (store, pool):
        (first, second) = await store.insert([new_event("s"), new_event("s", 1)])
        async with pool.acquire() as connection:
            await remember_doubts(connection, [Doubt("s", first.event_id, "a first request")])
            await connection.execute("UPDATE second_looks SET asked_at = now() - interval '1 hour'")
            await remember_doubts(connection, [Doubt("s", second.event_id, "another request")])
        looks = RecheckStore(pool)
        assert await begun(pool, LATER) == []
        waiting = await looks.waiting("s")
        assert waiting is not None
        assert waiting.why == "another request"


@pytest.mark.parametrize("subject", ["taiga:task:1", "invoices:send"])
async def test_what_is_not_looked_at(clean_database: str, subject: str) -> None:
    """What is dead waits for a person, whose repair looks by itself; runs and e-mails are not done again."""
    async with event_store(clean_database) as (store, pool):
        (stored,) = await store.insert([new_event(subject)])
        await pool.execute("UPDATE events SET status = 'dead' WHERE subject LIKE 'taiga:%'")
        async with pool.acquire() as connection:
            await remember_doubts(connection, [Doubt(subject, stored.event_id, "a request")])
        assert await begun(pool) == []
        assert await pool.fetchval("SELECT count(*) FROM second_looks") == 0


async def test_invoices_are_looked_at_though_dead(clean_database: str) -> None:
    """A plan that cannot be applied any more is not applied again: what a late request made is found all the same."""
    async with event_store(clean_database) as (store, pool):
        (stored,) = await store.insert([new_event("invoice:acme")])
        await pool.execute("UPDATE events SET status = 'dead'")
        async with pool.acquire() as connection:
            await remember_doubts(connection, [Doubt("invoice:acme", stored.event_id, "a request")])
        assert len(await begun(pool)) == 1


async def test_answer_lost_in_a_try_that_succeeds(bench: Bench) -> None:
    """A request without an answer is remembered even when its try came to a good end."""

    async def handle(_work: Work) -> Outcome:
        record(Call(NINJA, "PUT", "/api/v1/tasks/x", None, 12, "Doubtful: the answer was lost", is_unsettled=True))
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    await bench.store.insert([new_event()])
    async with bench.running():
        await bench.settled("processed")
    waiting = await RecheckStore(bench.pool).waiting("taiga:task:1")
    assert waiting is not None
    assert waiting.why == f"{NINJA}: PUT /api/v1/tasks/x: Doubtful: the answer was lost"
    assert (await bench.row()).status == "processed"


async def test_cut_short(bench: Bench) -> None:
    """A try that the end of the program cut short is handed back, and what it asked for is looked at again."""

    async def handle(_work: Work) -> Outcome:
        await asyncio.Event().wait()
        return Processed(Code.TIME_RECORDED, "never")

    bench.handle = handle
    await bench.store.insert([new_event()])
    processor = bench.processor()
    running = asyncio.create_task(processor.run())
    await until(partial(looked, bench, 1))
    await processor.stop(grace=0)
    await running
    waiting = await RecheckStore(bench.pool).waiting("taiga:task:1")
    assert waiting is not None
    assert waiting.why == HANDED_BACK
