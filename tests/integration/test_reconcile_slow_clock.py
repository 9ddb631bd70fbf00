"""Runs by the clock at a slow pace, with a real database and the sandbox Taiga: they end well, and take turns."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from handlers.errors import RemoteError
from handlers.reconcile import taiga as reconcile_taiga
from handlers.reconcile.taiga_models import Scope
from middleware.jobs.periodic import NotNowError
from middleware.jobs.reconcile import taiga_jobs
from middleware.lab.sandbox.faults import Rule
from middleware.store.operations import reconcile as seen
from middleware.store.operations.circuits import CircuitStore
from middleware.store.operations.reconcile import RUN_LOCKS, RunStore
from middleware.traffic import gate
from middleware.traffic.gate import TrafficLimits
from middleware.traffic.traffic import Traffic
from tests.support.in_process_bridge import Bridge, running_bridge
from tests.support.pipeline import until
from tests.support.reconcile.runs import latest_runs

LOCK = RUN_LOCKS["taiga"]
WAITING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@pytest.fixture
async def bridge(clean_database: str, redis_url: str) -> AsyncIterator[Bridge]:
    """A bridge with nine tasks that nobody told of."""
    async with running_bridge(clean_database, redis_url) as made:
        for n in range(9):
            made.work(f"Task {n}", 1, loose=True).close()
        yield made


async def test_a_request_a_long_time_apart(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight at a time wait longer for their turns than an event may: both runs do everything all the same."""
    monkeypatch.setattr(gate, "LONGEST_WAIT", 0.01)
    traffic = Traffic(CircuitStore(bridge.pool), {"taiga": TrafficLimits(40, 30)}, {})
    bridge.taiga.through(traffic.admit("taiga"))
    with pytest.raises(RemoteError, match="its turn is too far away"):
        await bridge.reconcile()
    recent, nightly = taiga_jobs(bridge.taiga, lambda: bridge.context, bridge.pool, bridge.ingest, traffic, minutes=15)
    assert (await recent.act()).startswith("9 looked at")
    assert await bridge.count() == 9
    assert await nightly.act() == "9 looked at, 0 enqueued"
    assert not gate.low_priority.get()


async def test_the_nightly_run_has_its_turn(bridge: Bridge) -> None:
    """A frequent run is always under way: the nightly one is the next, whoever else comes meanwhile."""
    traffic = Traffic(CircuitStore(bridge.pool), {"taiga": TrafficLimits(40, 0)}, {})
    recent, nightly = taiga_jobs(bridge.taiga, lambda: bridge.context, bridge.pool, bridge.ingest, traffic, minutes=15)
    runs = RunStore(bridge.pool)
    async with runs.alone("taiga"):
        waiting = asyncio.ensure_future(nightly.act())

        async def is_waiting() -> bool:
            return bool(await bridge.pool.fetchval(WAITING))

        await until(is_waiting)
        with pytest.raises(NotNowError, match="under way"):
            await recent.act()
    assert await waiting == "9 looked at, 9 enqueued"
    assert await recent.act() == "9 looked at, 0 enqueued"
    assert [run.scope for run in (await latest_runs(bridge.pool, "taiga"))[:2]] == ["recent", "all"]


async def test_who_gives_up_waiting_leaves_no_lock(bridge: Bridge) -> None:
    """A worker that is stopped while its nightly run waits: soon the next run begins as if it had never been there."""
    runs = RunStore(bridge.pool)

    async def wait_for_it() -> None:
        async with runs.alone("taiga", waits=True):
            pytest.fail("it was its turn")

    async with runs.alone("taiga"):
        waiting = asyncio.create_task(wait_for_it())

        async def is_waiting() -> bool:
            return bool(await bridge.pool.fetchval(WAITING))

        await until(is_waiting)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    async def is_free() -> bool:
        async with runs.alone("taiga") as is_alone:
            return is_alone

    # PostgreSQL may give it the lock, before it notices that nobody is there any more.
    await until(is_free)


async def test_given_in_the_moment_of_giving_up(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock was given, and its run is cancelled before it knows: the next one finds it free."""
    runs = RunStore(bridge.pool)

    async def give_too_late(connection: asyncpg.Connection, lock: int, *, waits: bool) -> bool:
        assert waits
        await connection.execute("SELECT pg_advisory_lock($1)", lock)
        raise asyncio.CancelledError

    async with bridge.pool.acquire() as other:
        with monkeypatch.context() as context:
            context.setattr(seen, "_locked", give_too_late)
            with pytest.raises(asyncio.CancelledError):
                async with runs.alone("taiga", waits=True):
                    pytest.fail("it was cancelled")

        async def is_free() -> bool:
            return not await other.fetchval("SELECT count(*) FROM pg_locks WHERE objid = $1", LOCK & 0xFFFF_FFFF)

        await until(is_free)


async def test_what_was_read_before_a_failure_is_done(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taiga fails at the ninth of nine: eight are put in, and remembered; the next run asks for the last one only."""
    monkeypatch.setattr(reconcile_taiga, "FAILURES_IN_A_ROW", 1)
    bridge.taiga_faults.add(Rule(path="custom-attributes-values/1$", status=500))
    with pytest.raises(RemoteError):
        await bridge.reconcile(Scope(rolling=0))
    assert await bridge.count() == 8
    bridge.taiga_faults.requests.clear()
    report = await bridge.reconcile(Scope(rolling=0))
    assert [one.item.id for one in report.differences] == [1]
    assert bridge.taiga_faults.count("GET", "custom-attributes-values/") == 1


async def test_items_that_are_closed_to_us_do_not_hold_up_the_rolling_look(bridge: Bridge) -> None:
    """They stay the longest unread ones only once: the look comes by all the others."""
    await bridge.reconcile()
    bridge.taiga_faults.add(Rule(path="custom-attributes-values/[1-3]$", status=403, times=None))
    problems, read = list[str](), 0
    bridge.taiga_faults.requests.clear()
    for _ in range(3):
        report = await bridge.reconcile(Scope(rolling=3))
        problems += report.problems
        read += report.items_read
    assert (len(problems), read) == (3, 9)
    for number in range(1, 10):
        assert bridge.taiga_faults.count("GET", f"custom-attributes-values/{number}$") == 1
