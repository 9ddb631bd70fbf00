"""The time table in PostgreSQL: each tick runs once among many workers, and a missed one is made up for."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from pydantic import SecretStr

from mappings.config import parse_mapping
from middleware.clockwork import run_clockwork
from middleware.periodic import Periodic, every, run_periodics, tick
from middleware.settings import Settings
from middleware.store.database import open_pool
from middleware.store.ticks import TickStore
from tests.fakes import World
from tests.pipeline import until

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def test_a_tick_is_done_once_by_one_worker(fresh_database: str) -> None:
    """Ten workers look at the same time, one does it; before its time nobody does."""
    done: list[str] = []

    async def act() -> str:
        done.append("x")
        return "did it"

    periodic = Periodic("test", every(15), act)
    async with open_pool(fresh_database, size=5) as pool:
        ticks = TickStore(pool)
        assert not await tick(ticks, periodic, NOW)
        assert not await tick(ticks, periodic, NOW + timedelta(minutes=14))
        later = NOW + timedelta(hours=5)
        assert sorted(await asyncio.gather(*(tick(ticks, periodic, later) for _ in range(10)))) == [False] * 9 + [True]
        (row,) = await ticks.all()
    assert done == ["x"]
    assert (row.next_at, row.message) == (later + timedelta(minutes=15), "did it")
    assert row.finished_at is not None


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
        running = asyncio.create_task(
            run_periodics(pool, [Periodic("bad", every(0), fail), Periodic("good", every(0), work)], 0.01)
        )

        async def is_written_down() -> bool:
            return "failed: LookupError: no such thing" in {row.message for row in await TickStore(pool).all()}

        async with asyncio.timeout(20):
            await done.wait()
            await failed_twice.wait()
            await until(is_written_down)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


READS: dict[str, Any] = {"taiga_api": "http://127.0.0.1:9/api/v1", "taiga_token": SecretStr("token")}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({}, {"housekeeping"}),
        (READS, {"housekeeping", "reconcile taiga: recent", "reconcile taiga: all"}),
        ({**READS, "reconcile_taiga_minutes": 0.0}, {"housekeeping"}),
    ],
)
async def test_the_time_table_of_a_worker(
    fresh_database: str, redis_url: str, given: dict[str, Any], names: set[str]
) -> None:
    """Reconciling is there when Taiga can be read and is wanted; housekeeping always."""
    settings = Settings(
        _env_file=None, taiga_webhook_secrets=(SecretStr("k"),), redis_url=SecretStr(redis_url), **given
    )
    world = World(parse_mapping("{}")).context
    async with open_pool(fresh_database, size=5) as pool:
        working = asyncio.create_task(run_clockwork(settings, lambda: world.mapping, pool, lambda: world))

        async def is_there() -> bool:
            return not working.done() and names <= {row.name for row in await TickStore(pool).all()}

        await until(is_there)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        table = {row.name for row in await TickStore(pool).all()}
    assert {name for name in table if name.startswith(("housekeeping", "reconcile taiga"))} == names
