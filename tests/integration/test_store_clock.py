"""One clock for all: a worker whose own clock is ahead begins nothing, and dates nothing, by it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from middleware.jobs.periodic import Job, every, run_jobs
from middleware.store import clock as store_clock
from middleware.store.clock import StoreClock, own_time
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.operations.timetable import Timetable
from tests.support.receiver_bench import NOWHERE


def ahead(days: float) -> datetime:
    """What a machine says whose clock is wrong."""
    return own_time() + timedelta(days=days)


async def test_a_clock_that_is_ahead(clean_database: str) -> None:
    """A worker 66 days ahead knows it, runs no jobs, and dates what it does by PostgreSQL's clock."""
    async with open_pool(clean_database, size=1) as pool:
        wrong = StoreClock(pool, lambda: ahead(66))
        assert await wrong.time_for_jobs() is None
        assert abs(wrong.off - timedelta(days=66)) < timedelta(minutes=1)
        assert abs(wrong.now() - datetime.now(UTC)) < timedelta(minutes=1)
        assert await StoreClock(pool).time_for_jobs() is not None


async def test_a_wrong_clock_leaves_jobs_to_others(clean_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No job by the clock is begun on a machine that is ahead, and its time table stays as it was."""
    looks = asyncio.Queue[None]()

    async def work() -> str:
        pytest.fail("begun by a clock that is wrong")

    def wrong() -> datetime:
        looks.put_nowait(None)
        return ahead(1)

    async with open_pool(clean_database, size=2) as pool:
        monkeypatch.setattr(store_clock.StoreClock.__init__, "__defaults__", (wrong,))
        jobs = [Job("job", every(1), work, begins_soon=True)]
        running = asyncio.create_task(run_jobs(pool, jobs, 0.001))
        async with asyncio.timeout(20):
            for _ in range(5):
                await looks.get()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await Timetable(pool).all() == []


async def test_without_postgresql(tmp_path: Path) -> None:
    """Before PostgreSQL was asked the own clock has to do; no job is begun by it."""
    async with open_pool(NOWHERE, size=1) as pool:
        clock = StoreClock(pool)
        await clock.try_to_read()
        assert abs(clock.now() - own_time()) < timedelta(minutes=1)
        with pytest.raises(StoreUnavailableError):
            await clock.time_for_jobs()
