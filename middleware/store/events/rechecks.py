"""Subjects that are looked at once more, because a request of an attempt may be carried out after we gave it up.

One row for each subject, dated by its last such attempt. When its time has come the row becomes an event of that
subject.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from handlers.event import NewEvent, own_event
from handlers.ports.events import EventSink
from handlers.recheck import NEVER_RECHECKED, RECHECK, RECHECKED_THOUGH_DEAD
from middleware.store.database import away_is_unavailable
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
DUE = """
SELECT due.subject, due.event_id, due.why, due.asked_at,
    coalesce(of.occurred_at, due.asked_at) - interval '1 microsecond' AS occurred_at,
    (newest.status IS DISTINCT FROM 'dead' OR due.subject ^@ ANY ($4::text[]))
        AND NOT due.subject ^@ ANY ($3::text[]) AS is_wanted
FROM second_looks due LEFT JOIN events of ON of.id = due.event_id
LEFT JOIN LATERAL (
    SELECT status FROM events n WHERE n.subject = due.subject AND n.status <> 'discarded'
    ORDER BY n.occurred_at DESC, n.id DESC LIMIT 1
) AS newest ON true
WHERE due.asked_at <= now() - $1::interval ORDER BY due.asked_at LIMIT $2
"""
# Only what was not asked for anew meanwhile; in the order of their subjects, as above.
FORGET = """
WITH gone AS (
    SELECT s.subject FROM second_looks s
    JOIN unnest($1::text[], $2::timestamptz[]) AS d (subject, asked_at)
        ON d.subject = s.subject AND d.asked_at = s.asked_at
    ORDER BY s.subject FOR UPDATE OF s
)
DELETE FROM second_looks USING gone WHERE second_looks.subject = gone.subject
"""
AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Waiting:
    """A recheck that is still to come: since when its subject is in doubt, and because of what."""

    asked_at: datetime
    why: str


async def remember_doubts(connection: Connection, doubts: Sequence[Doubt]) -> None:
    """Write them down; each makes the recheck of its subject wait anew."""
    if doubts:
        columns = [one.subject for one in doubts], [one.event_id for one in doubts]
        await connection.execute(REMEMBER, *columns, [storable(one.why) for one in doubts])


class RecheckStore:
    """Every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def begin(self, wait: timedelta, sink: EventSink) -> list[int]:
        """Make events of those that waited so long; returns the ids of the events.

        The rows go when their events are stored: what is begun twice has the same key and is stored once.
        """
        with away_is_unavailable():
            rows = await self._pool.fetch(DUE, wait, AT_A_TIME, list(NEVER_RECHECKED), list(RECHECKED_THOUGH_DEAD))
        stored = await sink.enqueue([_event(row) for row in rows if row["is_wanted"]])
        with away_is_unavailable():
            await self._pool.execute(FORGET, [row["subject"] for row in rows], [row["asked_at"] for row in rows])
        return [one.event_id for one in stored if not one.is_duplicate]

    async def waiting(self, subject: str) -> Waiting | None:
        """The one that is still to come for a subject."""
        with away_is_unavailable():
            row = await self._pool.fetchrow("SELECT asked_at, why FROM second_looks WHERE subject = $1", subject)
        return Waiting(**row) if row else None


def _event(row: asyncpg.Record) -> NewEvent:
    moment = row["asked_at"].isoformat()
    payload = {"because": row["why"], "after_event": row["event_id"], "asked_at": moment}
    return own_event(RECHECK, f"second-look:{row['subject']}:{moment}", row["subject"], row["occurred_at"], payload)
