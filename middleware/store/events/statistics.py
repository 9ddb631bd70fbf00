"""Adding up events by day, so that pages need not count them: incremental, in steps of bounded size.

Only the receiver adds up, once a minute; several receivers take turns. What came since is counted where it is shown.
"""

from dataclasses import dataclass
from datetime import date

import asyncpg

from middleware.store.database import away_is_unavailable

STEP = 50_000

# The row lock keeps other receivers out.
_KNOWN = "SELECT event_id FROM event_days_through FOR UPDATE SKIP LOCKED"
# Transactions of the last minutes may still commit ids below others: those and all behind them wait.
_END = f"""
SELECT least($1::bigint + {STEP}, newest.id, (
    SELECT min(id) - 1 FROM events
    WHERE id > $1 AND id <= $1 + {STEP} AND received_at > now() - interval '2 minutes'
))
FROM (SELECT max(id) AS id FROM events) AS newest WHERE newest.id IS NOT NULL
"""
_ADD = """
INSERT INTO event_days (day, source, type, events, last_at)
SELECT (received_at AT TIME ZONE 'UTC')::date, source, type, count(*), max(received_at)
FROM events WHERE id > $1 AND id <= $2 GROUP BY 1, 2, 3
ON CONFLICT (day, source, type) DO UPDATE SET events = event_days.events + excluded.events,
    last_at = greatest(event_days.last_at, excluded.last_at)
"""

# What is not in `event_days` yet: the events of a few minutes.
_TAIL = """
SELECT (received_at AT TIME ZONE 'UTC')::date AS day, source, type, count(*) AS events, max(received_at) AS last_at
FROM events WHERE id > (SELECT event_id FROM event_days_through) GROUP BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class DayCount:
    """Events of a source that arrived on a day (UTC)."""

    day: date
    source: str
    events: int


class Statistics:
    """Raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add_up(self) -> None:
        """Bring `event_days` up to date."""
        with away_is_unavailable():
            while await self._step():
                pass

    async def _step(self) -> bool:
        async with self._pool.acquire() as connection, connection.transaction():
            known = await connection.fetchval(_KNOWN)
            end = None if known is None else await connection.fetchval(_END, known)
            if end is None or end <= known:
                return False
            await connection.execute(_ADD, known, end)
            await connection.execute("UPDATE event_days_through SET event_id = $1", end)
        return True

    async def by_day(self, since: date) -> list[DayCount]:
        """How many events arrived on each day since one, by source."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT day, source, sum(events)::bigint AS events FROM (SELECT day, source, type, events, last_at"
                f" FROM event_days WHERE day >= $1 UNION ALL {_TAIL}) AS every WHERE day >= $1"
                " GROUP BY day, source ORDER BY day, source",
                since,
            )
        return [DayCount(**row) for row in rows]

    async def types(self) -> list[tuple[str, str]]:
        """Every (source, type) that ever arrived."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT DISTINCT source, type FROM (SELECT source, type FROM event_days"
                f" UNION ALL SELECT source, type FROM ({_TAIL}) AS tail) AS every ORDER BY source, type"
            )
        return [(row["source"], row["type"]) for row in rows]
