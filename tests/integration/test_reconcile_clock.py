"""The time table in PostgreSQL: each tick runs once among many workers, and a missed one is made up for."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import SecretStr

from mappings.config.file import parse_mapping
from middleware.bootstrap import open_traffic
from middleware.clients.connect import Systems, connect_invoice_ninja, connect_taiga
from middleware.clients.taiga import Credentials
from middleware.jobs.periodic import Job, NotNowError, every, nightly, run_if_due, run_jobs
from middleware.jobs.table import run_all_jobs
from middleware.mapping.references import LOOK_UP
from middleware.settings import Settings
from middleware.store.database import open_pool
from middleware.store.operations.timetable import Timetable
from tests.support.fakes import World
from tests.support.pipeline import until

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def test_a_tick_is_done_once_by_one_worker(fresh_database: str) -> None:
    """Ten workers look at the same time, one does it; before its time nobody does."""
    done: list[str] = []

    async def act() -> str:
        done.append("x")
        return "did it"

    job = Job("test", every(15), act)
    async with open_pool(fresh_database, size=5) as pool:
        ticks = Timetable(pool)
        assert not await run_if_due(ticks, job, NOW)
        assert not await run_if_due(ticks, job, NOW + timedelta(minutes=14))
        later = NOW + timedelta(hours=5)
        assert sorted(await asyncio.gather(*(run_if_due(ticks, job, later) for _ in range(10)))) == [False] * 9 + [True]
        (row,) = await ticks.all()
    assert done == ["x"]
    assert (row.next_at, row.message) == (later + timedelta(minutes=15), "did it")
    assert row.finished_at is not None


async def test_a_clock_that_was_wrong_for_a_moment(fresh_database: str) -> None:
    """A tick that was taken by a clock years ahead does not keep the others waiting for years."""
    done = count(1)

    async def act() -> str:
        return f"time {next(done)}"

    async with open_pool(fresh_database, size=2) as pool:
        ticks = Timetable(pool)
        for job in (Job("often", every(15), act), Job("nightly", nightly(2), act)):
            assert not await run_if_due(ticks, job, NOW)
            assert await run_if_due(ticks, job, NOW + timedelta(days=3650))
            assert await run_if_due(ticks, job, NOW + timedelta(minutes=1))
            assert not await run_if_due(ticks, job, NOW)
            assert not await run_if_due(ticks, job, NOW + timedelta(minutes=15))


async def test_what_cannot_be_done_now_is_tried_again_soon(fresh_database: str) -> None:
    """A nightly act that is put off comes again within a quarter of an hour, or when it is due anyway."""

    async def put_off() -> str:
        raise NotNowError("taiga is away", timedelta(minutes=15))

    async with open_pool(fresh_database, size=2) as pool:
        ticks = Timetable(pool)
        for name, following in (("nightly", nightly(2)), ("often", every(5))):
            await ticks.take(name, NOW, NOW)
            assert await run_if_due(ticks, Job(name, following, put_off), NOW)
        rows = {row.name: row for row in await ticks.all()}
    assert rows["nightly"].next_at == NOW + timedelta(minutes=15)
    assert rows["often"].next_at == NOW + timedelta(minutes=5)
    assert rows["nightly"].message == "taiga is away"


async def test_a_failure_is_written_down_and_does_not_stop_the_clock(fresh_database: str) -> None:
    """One that fails is tried at its next tick; the others go on."""
    done, failed_twice, tries = asyncio.Event(), asyncio.Event(), count(1)

    async def fail() -> str:
        if next(tries) > 1:
            failed_twice.set()
        raise LookupError("no such thing")

    async def work() -> str:
        done.set()
        return ""

    async with open_pool(fresh_database, size=5) as pool:
        running = asyncio.create_task(run_jobs(pool, [Job("bad", every(0), fail), Job("good", every(0), work)], 0.01))

        async def is_written_down() -> bool:
            return "failed: LookupError: no such thing" in {row.message for row in await Timetable(pool).all()}

        async with asyncio.timeout(20):
            await done.wait()
            await failed_twice.wait()
            await until(is_written_down)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


@pytest.mark.parametrize(
    ("given", "is_read", "names"),
    [
        ({}, False, {"housekeeping"}),
        ({}, True, {"housekeeping", "reconcile taiga: recent", "reconcile taiga: all"}),
        ({"reconcile_taiga_minutes": 0.0}, True, {"housekeeping"}),
    ],
)
async def test_the_time_table_of_a_worker(
    fresh_database: str, redis_url: str, given: dict[str, Any], is_read: bool, names: set[str]
) -> None:
    """Reconciling is there when Taiga can be read and is wanted; housekeeping always."""
    settings = Settings(
        _env_file=None, taiga_webhook_secrets=(SecretStr("k"),), redis_url=SecretStr(redis_url), **given
    )
    taiga = connect_taiga("http://127.0.0.1:9", Credentials(token="token"))
    ninja = connect_invoice_ninja("http://127.0.0.1:9", "token")
    systems = Systems(ninja, taiga if is_read else None)
    world = World(parse_mapping("{}")).context
    async with open_pool(fresh_database, size=5) as pool:
        traffic = open_traffic(settings, pool)
        working = asyncio.create_task(run_all_jobs(settings, systems, pool, lambda: world, traffic))

        async def is_there() -> bool:
            return not working.done() and names | {LOOK_UP} <= {row.name for row in await Timetable(pool).all()}

        await until(is_there)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        table = {row.name for row in await Timetable(pool).all()}
    await taiga.aclose()
    await ninja.aclose()
    assert {name for name in table if name.startswith(("housekeeping", "reconcile taiga"))} == names
