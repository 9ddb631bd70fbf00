"""Stored events as a worker would claim them, without claiming them: for looking at what a replay would do."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.events.claim_records import Claim, group, read_event
from middleware.store.events.claims import EVENT_COLUMNS

CHOSEN = f"""
SELECT {EVENT_COLUMNS}, newest.id AS newest_id FROM events e
LEFT JOIN LATERAL (
    SELECT n.id FROM events n
    WHERE n.subject = e.subject AND (n.status <> 'discarded' OR n.id = ANY ($1::bigint[]))
    ORDER BY n.occurred_at DESC, n.id DESC LIMIT 1
) AS newest ON true
WHERE e.id = ANY ($1::bigint[])
ORDER BY e.occurred_at, e.id
"""


async def as_replayed(pool: asyncpg.Pool, event_ids: Sequence[int], now: datetime) -> list[Claim]:
    """The claims that a worker would have after these events were replayed at `now`, by subject."""
    with away_is_unavailable():
        rows = await pool.fetch(CHOSEN, list(event_ids))
        others = {row["newest_id"] for row in rows} - {row["id"] for row in rows}
        found = await pool.fetch(f"SELECT {EVENT_COLUMNS} FROM events e WHERE id = ANY ($1::bigint[])", list(others))
    newest = {row["id"]: read_event(row) for row in found}
    return [_replayed(claim, now) for claim in group(rows, newest, hold=0)]


def _replayed(claim: Claim, now: datetime) -> Claim:
    """A replay begins a new series: nothing in it is looked at for the first time."""
    due = {event.id: replace(event, attempts=1, series_started_at=now) for event in claim.due}
    return replace(claim, due=tuple(due.values()), newest=due.get(claim.newest.id, claim.newest))
