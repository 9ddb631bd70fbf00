"""The timetable that all workers share: each run of a job is taken by one of them; a missed one is made up for."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from middleware.store.text import storable

# What waits a day longer than it ever should was written by a clock that was wrong, or by other settings.
TAKE = """
INSERT INTO ticks (name, next_at) VALUES ($1, $4)
ON CONFLICT (name) DO UPDATE SET next_at = $2, started_at = now(), finished_at = NULL, message = ''
WHERE ticks.next_at <= $3 OR ticks.next_at > $2 + interval '1 day'
RETURNING started_at
"""


@dataclass(frozen=True, slots=True)
class JobTimes:
    """When a job runs next, and how it went last."""

    name: str
    next_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    message: str


class Timetable:
    """Reads and writes the table `ticks`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def take(self, name: str, now: datetime, following: datetime, first: datetime | None = None) -> bool:
        """Whether it is time, and we are the one to do it; a name that is new waits for `first`, else `following`."""
        return await self._pool.fetchval(TAKE, name, following, now, first or following) is not None

    async def done(self, name: str, message: str) -> None:
        """How it went."""
        await self._pool.execute(
            "UPDATE ticks SET finished_at = now(), message = $2 WHERE name = $1", name, storable(message)
        )

    async def put_off(self, name: str, message: str, until: datetime) -> None:
        """It could not be done: its next time is not later than `until`."""
        await self._pool.execute(
            "UPDATE ticks SET finished_at = now(), message = $2, next_at = least(next_at, $3) WHERE name = $1",
            name,
            storable(message),
            until,
        )

    async def bring_forward(self, name: str) -> None:
        """It is due as soon as every worker has noticed what changed; one that no worker knows stays unknown."""
        soon = "UPDATE ticks SET next_at = least(next_at, now() + interval '10 seconds') WHERE name = $1"
        await self._pool.execute(soon, name)

    async def find(self, name: str) -> JobTimes | None:
        """When this is done next; None while no worker looked at the timetable for it."""
        return next((one for one in await self.all() if one.name == name), None)

    async def all(self) -> list[JobTimes]:
        """All jobs."""
        rows = await self._pool.fetch("SELECT name, next_at, started_at, finished_at, message FROM ticks ORDER BY name")
        return [JobTimes(**row) for row in rows]
