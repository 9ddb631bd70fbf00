"""Subjects that are looked at once more, because a request of an attempt may be carried out after we gave it up.

One row for each subject, dated by its last such attempt. When its time has come the row becomes an event of that
subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import orjson

from handlers.second_look import LOOKED_AT_THOUGH_DEAD, NOT_LOOKED_AT, SECOND_LOOK, SOURCE
from middleware.store.database import away_is_unavailable
from middleware.store.encryption import sealed
from middleware.store.events.claim_records import Doubt
from middleware.store.operations.audit import Connection
from middleware.store.text import storable

# In the order of their subjects: two workers must not wait for each other crosswise.
REMEMBER = """
INSERT INTO second_looks (subject, event_id, why)
SELECT subject, max(event_id), max(why) FROM unnest($1::text[], $2::bigint[], $3::text[]) AS d (subject, event_id, why)
GROUP BY subject ORDER BY subject
ON CONFLICT (subject) DO UPDATE SET event_id = excluded.event_id, why = excluded.why, asked_at = now()
"""

# What a person must repair first is not looked at, as a rule: that repair is a look of its own.
TAKE = """
WITH due AS (
    DELETE FROM second_looks WHERE subject IN (
        SELECT subject FROM second_looks WHERE asked_at <= now() - $1::interval
        ORDER BY asked_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING subject, event_id, why, asked_at
)
SELECT due.subject, due.event_id, due.why, due.asked_at,
    coalesce(of.occurred_at, due.asked_at) - interval '1 microsecond' AS occurred_at
FROM due LEFT JOIN events of ON of.id = due.event_id
LEFT JOIN LATERAL (
    SELECT status FROM events n WHERE n.subject = due.subject AND n.status <> 'discarded'
    ORDER BY n.occurred_at DESC, n.id DESC LIMIT 1
) AS newest ON true
WHERE (newest.status IS DISTINCT FROM 'dead' OR due.subject ^@ ANY ($4::text[]))
    AND NOT due.subject ^@ ANY ($3::text[])
ORDER BY due.asked_at
"""
INSERT = """
INSERT INTO events (source, type, key, subject, occurred_at, body)
SELECT $1, $2, key, subject, occurred_at, body
FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::bytea[]) AS new (key, subject, occurred_at, body)
ON CONFLICT (source, key) DO NOTHING
RETURNING id
"""
AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A second look that is still to come: since when its subject is in doubt, and because of what."""

    asked_at: datetime
    why: str


async def remember_doubts(connection: Connection, doubts: Sequence[Doubt]) -> None:
    """Write them down; each makes the second look at its subject wait anew."""
    if doubts:
        columns = [one.subject for one in doubts], [one.event_id for one in doubts]
        await connection.execute(REMEMBER, *columns, [storable(one.why) for one in doubts])


class SecondLooks:
    """Every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, wait: timedelta) -> list[int]:
        """Make events of those that waited so long; returns the ids of the events."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                rows = await connection.fetch(TAKE, wait, AT_A_TIME, list(NOT_LOOKED_AT), list(LOOKED_AT_THOUGH_DEAD))
                made = await connection.fetch(
                    INSERT,
                    SOURCE,
                    SECOND_LOOK,
                    [f"second-look:{row['subject']}:{row['asked_at'].isoformat()}" for row in rows],
                    [row["subject"] for row in rows],
                    [row["occurred_at"] for row in rows],
                    [_body(row) for row in rows],
                )
        return [int(row["id"]) for row in made]

    async def waiting(self, subject: str) -> Waiting | None:
        """The one that is still to come for a subject."""
        with away_is_unavailable():
            row = await self._pool.fetchrow("SELECT asked_at, why FROM second_looks WHERE subject = $1", subject)
        return Waiting(**row) if row else None


def _body(row: asyncpg.Record) -> bytes:
    told = {"because": row["why"], "after_event": row["event_id"], "asked_at": row["asked_at"].isoformat()}
    return sealed(orjson.dumps(told))
