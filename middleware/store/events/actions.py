"""What people do to events: replay and discard, each written into the audit in the same transaction."""

from collections.abc import Sequence

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.operations.audit import AuditEntry, Connection, write_entry
from middleware.store.text import storable

REPLAYABLE = ("dead", "retrying", "processed", "ignored", "discarded")
DISCARDABLE = ("dead", "retrying")

# An event that a worker takes at this very moment is passed over: it is at work already.
_LOCK = (
    "SELECT id FROM events WHERE id = ANY ($1::bigint[]) AND status = ANY ($2::text[]) ORDER BY id"
    " FOR UPDATE SKIP LOCKED"
)
# What was removed cannot be done again.
_HAS_BODY = "SELECT id FROM events WHERE id = ANY ($1::bigint[]) AND octet_length(body) > 0 ORDER BY id"
_REPLAY = """
UPDATE events SET status = 'received', attempts = 0, next_attempt_at = now(), series_started_at = now(),
    finished_at = NULL, outcome_code = '', reason = '', hint = ''
WHERE id = ANY ($1::bigint[])
"""
_DISCARD = """
UPDATE events SET status = 'discarded', finished_at = now(), outcome_code = 'discarded', reason = $2, hint = ''
WHERE id = ANY ($1::bigint[])
"""


class EventActions:
    """Every method is one transaction and raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def replay(self, event_ids: Sequence[int], actor: str) -> list[int]:
        """Put finished events back to work; returns those that were, in order. Unknown and working ones are left."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                ids = await _locked(connection, event_ids, REPLAYABLE)
                ids = [row["id"] for row in await connection.fetch(_HAS_BODY, ids)]
                if ids:
                    await connection.execute(_REPLAY, ids)
                    summary = f"put {_named(ids)} back to work"
                    await write_entry(connection, AuditEntry(actor, "event.replayed", summary, event_ids=ids))
        return ids

    async def discard(self, event_ids: Sequence[int], why: str, actor: str) -> list[int]:
        """Close dead or retrying events by a person's decision; returns those that were."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                ids = await _locked(connection, event_ids, DISCARDABLE)
                if ids:
                    await connection.execute(_DISCARD, ids, storable(why))
                    summary = f"discarded {_named(ids)}: {why}"
                    await write_entry(connection, AuditEntry(actor, "event.discarded", summary, {"why": why}, ids))
        return ids


async def _locked(connection: Connection, event_ids: Sequence[int], statuses: Sequence[str]) -> list[int]:
    rows = await connection.fetch(_LOCK, list(event_ids), list(statuses))
    return [row["id"] for row in rows]


def _named(ids: Sequence[int]) -> str:
    return f"event {ids[0]}" if len(ids) == 1 else f"{len(ids)} events"
