"""Jobs: what the workers do on a schedule. PostgreSQL keeps the timetable, so each run happens once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from middleware.store.clock import StoreClock
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError
from middleware.store.operations.timetable import Timetable
from middleware.traffic.gate import low_priority
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

LOOK_SECONDS = 20.0
AGAIN_IN = timedelta(minutes=15)
"""When a job is tried again that could not read a system, or found another run of itself under way."""

Schedule = Callable[[datetime], datetime]
"""The next time after a moment."""


class NotNowError(Exception):
    """It cannot be done at present: tried again after `again_in`, or at its time when that is sooner."""

    def __init__(self, reason: str, again_in: timedelta) -> None:
        super().__init__(reason)
        self.again_in = again_in


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done on a schedule. `act` says how it went.

    `act` raises `NotNowError` when it cannot do it at present. `begins_soon`: what no worker has ever done is done at
    the second look at the timetable, not only when `schedule` says; a restart changes nothing.
    """

    name: str
    schedule: Schedule
    act: Callable[[], Awaitable[str]]
    begins_soon: bool = False


def every(minutes: float) -> Schedule:
    """At this distance from the last time."""
    return lambda now: now + timedelta(minutes=minutes)


def nightly(hour: int, minute: int = 0) -> Schedule:
    """Once a day at this time of day, UTC."""

    def following(now: datetime) -> datetime:
        today = now.astimezone(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return today if today > now else today + timedelta(days=1)

    return following


async def run_jobs(pool: Pool, jobs: Sequence[Job], look_seconds: float = LOOK_SECONDS) -> None:
    """Do each when its time has come and no other worker did, until cancelled."""
    clock = StoreClock(pool)
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_keep(clock, Timetable(pool), job, look_seconds), name=f"job:{job.name}")


async def _keep(clock: StoreClock, timetable: Timetable, job: Job, look_seconds: float) -> None:
    while True:
        try:
            now = await clock.time_for_jobs()
            if now is not None:
                await run_if_due(timetable, job, now)
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            log.warning("store.unreachable", error=str(error), hint=f"{job.name} waits for PostgreSQL")
        except Exception:
            # One mistake must not end the others, nor the worker; the next look tries again.
            log.exception("periodic.failed", name=job.name)
        await asyncio.sleep(look_seconds)


async def run_if_due(timetable: Timetable, job: Job, now: datetime) -> bool:
    """Do it, if it is time; returns whether it was done here."""
    if not await timetable.take(job.name, now, job.schedule(now), now if job.begins_soon else None):
        return False
    try:
        message = await job.act()
    except NotNowError as error:
        await timetable.put_off(job.name, str(error), now + error.again_in)
        return True
    except Exception as error:
        await timetable.done(job.name, f"failed: {type(error).__name__}: {error}")
        raise
    await timetable.done(job.name, message)
    return True


def unless_away(
    traffic: Traffic, systems: Sequence[str], name: str, act: Callable[[], Awaitable[str]]
) -> Callable[[], Awaitable[str]]:
    """`act`, put off without a single request while one of the systems is left alone; else done without any hurry."""

    async def act_or_not() -> str:
        away = await traffic.paused(*systems)
        if away:
            reason = f"put off: {'; '.join(away)}"
            log.info("periodic.put_off", name=name, reason=reason, again_in_s=AGAIN_IN.seconds)
            raise NotNowError(reason, AGAIN_IN)
        before = low_priority.set(True)
        try:
            return await act()
        finally:
            low_priority.reset(before)

    return act_or_not
