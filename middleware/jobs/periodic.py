"""What the workers do by the clock. PostgreSQL keeps the time table, so each tick runs once, whatever Redis does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from middleware.store.clock import StoreClock
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError
from middleware.store.operations.timetable import TickStore

log = structlog.get_logger()

LOOK_SECONDS = 20.0

Following = Callable[[datetime], datetime]


class NotNowError(Exception):
    """It cannot be done at present: tried again after `again_in`, or at its time when that is sooner."""

    def __init__(self, reason: str, again_in: timedelta) -> None:
        super().__init__(reason)
        self.again_in = again_in


@dataclass(frozen=True, slots=True)
class Periodic:
    """Something to be done by the clock. `following` gives the next time after a moment; `act` says how it went.

    `act` raises `NotNowError` when it cannot do it at present. `begins_soon`: what no worker has ever done is done at
    the second look at the clock, not only when `following` says; the time table decides, so a restart changes nothing.
    """

    name: str
    following: Following
    act: Callable[[], Awaitable[str]]
    begins_soon: bool = False


def every(minutes: float) -> Following:
    """At this distance from the last time."""
    return lambda now: now + timedelta(minutes=minutes)


def nightly(hour: int, minute: int = 0) -> Following:
    """Once a day at this time of day, UTC."""

    def following(now: datetime) -> datetime:
        today = now.astimezone(UTC).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return today if today > now else today + timedelta(days=1)

    return following


async def run_periodics(pool: Pool, periodics: Sequence[Periodic], look_seconds: float = LOOK_SECONDS) -> None:
    """Do each when its time has come and no other worker did, until cancelled."""
    clock = StoreClock(pool)
    async with asyncio.TaskGroup() as group:
        for periodic in periodics:
            group.create_task(_keep(clock, TickStore(pool), periodic, look_seconds), name=f"periodic:{periodic.name}")


async def _keep(clock: StoreClock, ticks: TickStore, periodic: Periodic, look_seconds: float) -> None:
    while True:
        try:
            now = await clock.time_for_jobs()
            if now is not None:
                await tick(ticks, periodic, now)
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            log.warning("store.unreachable", error=str(error), hint=f"{periodic.name} waits for PostgreSQL")
        except Exception:
            # One mistake must not end the others, nor the worker; the next tick tries again.
            log.exception("periodic.failed", name=periodic.name)
        await asyncio.sleep(look_seconds)


async def tick(ticks: TickStore, periodic: Periodic, now: datetime) -> bool:
    """Do it, if it is time; returns whether it was done here."""
    if not await ticks.take(periodic.name, now, periodic.following(now), now if periodic.begins_soon else None):
        return False
    try:
        message = await periodic.act()
    except NotNowError as error:
        await ticks.put_off(periodic.name, str(error), now + error.again_in)
        return True
    except Exception as error:
        await ticks.done(periodic.name, f"failed: {type(error).__name__}: {error}")
        raise
    await ticks.done(periodic.name, message)
    return True
