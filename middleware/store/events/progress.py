"""How the events stand that somebody waits for: one short query for all of them, however many."""

from collections.abc import Collection
from dataclasses import dataclass

import asyncpg

from middleware.store.database import away_is_unavailable

_COLUMNS = (
    "id, status, reason, hint, attempts,"
    " greatest(0, extract(epoch FROM next_attempt_at - now()))::float8 AS seconds_to_next"
)


@dataclass(frozen=True, slots=True)
class Awaited:
    """An event as it stands; `seconds_to_next` counts only while it is `retrying`."""

    id: int
    status: str
    reason: str
    hint: str
    attempts: int
    seconds_to_next: float


class AwaitedEvents:
    """Reads events that are waited for; raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def look(self, event_ids: Collection[int]) -> list[Awaited]:
        """These events by id; those that are gone from the store are missing."""
        return await self._rows("id = ANY ($1::bigint[])", list(event_ids))

    async def after(self, event_id: int, subject: str) -> list[Awaited]:
        """The events of a subject that came after this one."""
        return await self._rows("id > $1 AND subject = $2", event_id, subject)

    async def _rows(self, condition: str, *values: object) -> list[Awaited]:
        with away_is_unavailable():
            rows = await self._pool.fetch(f"SELECT {_COLUMNS} FROM events WHERE {condition} ORDER BY id", *values)
        return [Awaited(**row) for row in rows]
