"""The event rows: storing what arrived, and what people ask about it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from handlers.event import Enqueued, NewEvent
from middleware.store.database import OUR_MISTAKES, STORE_ERRORS, StoreUnavailableError
from middleware.store.encryption import sealed
from middleware.store.text import storable

WAITING = ("received", "retrying", "processing")
FINISHED = ("processed", "ignored", "dead", "discarded")
STATUSES = WAITING + FINISHED
DEADLOCK_TRIES = 3


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as people see it; the body is read separately."""

    id: int
    source: str
    type: str
    key: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    status: str
    attempts: int
    next_attempt_at: datetime
    finished_at: datetime | None
    outcome_code: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt of an event, with the outbound calls it made."""

    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    outcome_code: str
    reason: str
    calls: Sequence[Mapping[str, Any]]


COLUMNS = (
    "id, source, type, key, subject, occurred_at, received_at, status, attempts, next_attempt_at, finished_at,"
    " outcome_code, reason, hint"
)

# New rows and their ids in one statement, so that requests which arrive together share one commit. In the order of
# their keys: two receivers that store the same deliveries must not wait for each other crosswise.
INSERT = """
INSERT INTO events (source, type, key, subject, occurred_at, body, headers, next_attempt_at)
SELECT source, type, key, subject, occurred_at, body, headers, now() + make_interval(secs => wait)
FROM ROWS FROM (
    json_to_recordset($1::json)
        AS (source text, type text, key text, subject text, occurred_at timestamptz, headers jsonb, wait float8),
    unnest($2::bytea[])
) AS new (source, type, key, subject, occurred_at, headers, wait, body)
ORDER BY source, key
ON CONFLICT (source, key) DO NOTHING
RETURNING id, source, key
"""

# A person who presses "resend" on a dead event wants it done: it begins a new series of attempts.
REVIVE = """
UPDATE events SET status = 'received', attempts = 0, next_attempt_at = now(), series_started_at = now(),
    finished_at = NULL, outcome_code = '', reason = '', hint = ''
FROM unnest($1::text[], $2::text[]) AS sent (source, key)
WHERE events.source = sent.source AND events.key = sent.key AND status = 'dead'
RETURNING id
"""

FIND = """
SELECT id, events.source, events.key
FROM events JOIN unnest($1::text[], $2::text[]) AS sent (source, key)
    ON events.source = sent.source AND events.key = sent.key
"""


def columns_of(events: Sequence[NewEvent]) -> str:
    """All columns but the body, as one JSON text: encoding a parameter for each column costs five times as much."""
    rows = [
        {
            "source": event.source,
            "type": storable(event.type),
            "key": event.key,
            "subject": storable(event.subject),
            "occurred_at": event.occurred_at,
            "headers": {name: storable(value) for name, value in event.headers.items()},
            "wait": event.wait,
        }
        for event in events
    ]
    return orjson.dumps(rows).decode()


class EventStore:
    """Reads and writes event rows; every method is one short transaction."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def insert(self, events: Sequence[NewEvent]) -> list[Enqueued]:
        """Commit the events in one transaction and say, in order, what became of each.

        Raises:
            StoreUnavailableError: nothing was committed, or it is not known whether it was: the sender must send again.
            PostgresError, ValueError: one of them cannot be stored, and so none was.
        """
        reason = ""
        for _ in range(DEADLOCK_TRIES):
            try:
                return await self._insert(events)
            except asyncpg.DeadlockDetectedError as error:
                # Two receivers that were sent the same deliveries in different orders: one of them goes first now.
                reason = str(error)
            except OUR_MISTAKES:
                raise
            except STORE_ERRORS as error:
                raise StoreUnavailableError(f"{type(error).__name__}: {error}") from error
        raise StoreUnavailableError(f"deadlock {DEADLOCK_TRIES} times: {reason}")

    async def _insert(self, events: Sequence[NewEvent]) -> list[Enqueued]:
        rows = await self._pool.fetch(INSERT, columns_of(events), [sealed(event.body) for event in events])
        fresh = {(row["source"], row["key"]): int(row["id"]) for row in rows}
        known: dict[tuple[str, str], Enqueued] = {}
        if len(fresh) < len(events):
            known = await self._known([event for event in events if (event.source, event.key) not in fresh])
        results = []
        for event in events:
            identity = (event.source, event.key)
            event_id = fresh.get(identity)
            if event_id is not None and identity not in known:
                results.append(Enqueued(event_id, is_duplicate=False, is_due=not event.wait))
                # The same delivery a second time in this very batch.
                known[identity] = Enqueued(event_id, is_duplicate=True, is_due=False)
            elif identity in known:
                results.append(known[identity])
            else:
                raise StoreUnavailableError(f"event {identity} was deleted while it was stored again")
        return results

    async def _known(self, events: Sequence[NewEvent]) -> dict[tuple[str, str], Enqueued]:
        if not events:
            return {}
        sources, keys = [event.source for event in events], [event.key for event in events]
        revived = {row["id"] for row in await self._pool.fetch(REVIVE, sources, keys)}
        rows = await self._pool.fetch(FIND, sources, keys)
        return {
            (row["source"], row["key"]): Enqueued(row["id"], is_duplicate=True, is_due=row["id"] in revived)
            for row in rows
        }

    async def find(self, event_id: int) -> EventRow | None:
        """The event with this id."""
        row = await self._pool.fetchrow(f"SELECT {COLUMNS} FROM events WHERE id = $1", event_id)
        return EventRow(**row) if row else None

    async def find_all(self, event_ids: Collection[int]) -> "list[EventRow]":
        """These events by id; those that are gone are missing."""
        rows = await self._pool.fetch(
            f"SELECT {COLUMNS} FROM events WHERE id = ANY ($1::bigint[]) ORDER BY id", list(event_ids)
        )
        return [EventRow(**row) for row in rows]

    async def body(self, event_id: int) -> tuple[bytes, dict[str, str]]:
        """The raw body and the kept headers of an event."""
        row = await self._pool.fetchrow("SELECT body, headers FROM events WHERE id = $1", event_id)
        return (bytes(row["body"]), dict(row["headers"])) if row else (b"", {})

    async def attempts(self, event_id: int) -> list[AttemptRow]:
        """The attempts of an event, oldest first."""
        rows = await self._pool.fetch(
            "SELECT number, started_at, duration_ms, outcome, outcome_code, reason, calls FROM attempts"
            " WHERE event_id = $1 ORDER BY started_at, number",
            event_id,
        )
        return [AttemptRow(**row) for row in rows]

    async def list(
        self,
        *,
        status: str | None = None,
        source: str | None = None,
        subject: str | None = None,
        before_id: int | None = None,
        limit: int = 50,
    ) -> list[EventRow]:
        """Events, newest first; `before_id` continues behind a page."""
        rows = await self._pool.fetch(
            f"SELECT {COLUMNS} FROM events"
            " WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR source = $2)"
            " AND ($3::text IS NULL OR subject = $3) AND ($4::bigint IS NULL OR id < $4)"
            " ORDER BY id DESC LIMIT $5",
            status,
            source,
            subject,
            before_id,
            limit,
        )
        return [EventRow(**row) for row in rows]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: events by status, and the age in seconds of the oldest one that is due (0 when none is)."""

    received: int
    retrying: int
    processing: int
    dead: int
    oldest_due_seconds: float


async def backlog(pool: asyncpg.Pool) -> Backlog:
    """Count what is not done; reads partial indexes only.

    Raises:
        StoreUnavailableError: PostgreSQL does not answer.
    """
    try:
        row = await pool.fetchrow(
            "SELECT (SELECT count(*) FROM events WHERE status = 'received') AS received,"
            " (SELECT count(*) FROM events WHERE status = 'retrying') AS retrying,"
            " (SELECT count(*) FROM events WHERE status = 'processing') AS processing,"
            " (SELECT count(*) FROM events WHERE status = 'dead') AS dead,"
            " coalesce((SELECT extract(epoch FROM now() - min(next_attempt_at)) FROM events"
            "   WHERE status IN ('received', 'retrying') AND next_attempt_at <= now()), 0)::float8"
            " AS oldest_due_seconds",
            timeout=5,
        )
    except STORE_ERRORS as error:
        raise StoreUnavailableError(f"PostgreSQL does not answer: {error}") from error
    return Backlog(**dict(row or {}))
