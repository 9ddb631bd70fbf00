"""Claiming due events and settling them, one subject at a time.

All subject locks of a worker are PostgreSQL advisory locks of one connection: when the worker dies, however it dies,
the server frees them at once. Nothing expires while the work is going on.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from middleware.store.database import STORE_ERRORS, StoreUnavailableError, connect
from middleware.store.text import storable


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """One event row in the hands of this worker. `attempts` counts this try."""

    id: int
    source: str
    type: str
    key: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    series_started_at: datetime
    attempts: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """All unfinished events of one subject, and the newest event known of it (which may be finished)."""

    subject: str
    due: tuple[ClaimedEvent, ...]
    newest: ClaimedEvent
    newest_is_due: bool


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one event leaves this try. `next_attempt_at` is given for `retrying` only."""

    event_id: int
    status: str
    reason: str
    hint: str = ""
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One try, for the `attempts` table."""

    event_id: int
    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    reason: str
    calls: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


EVENT_COLUMNS = (
    "e.id, e.source, e.type, e.key, e.subject, e.occurred_at, e.received_at, e.series_started_at, e.attempts, e.body"
)

# Oldest first; a subject that is at work anywhere is passed over, and so does not hold up others. The lock is asked
# for in a materialized step of its own, so that it is taken for the returned subjects only.
CLAIM = f"""
WITH waiting AS MATERIALIZED (
    SELECT subject, next_attempt_at, id FROM events w
    WHERE status IN ('received', 'retrying') AND next_attempt_at <= now() AND subject <> ALL ($1::text[])
        AND NOT EXISTS (SELECT 1 FROM events p WHERE p.subject = w.subject AND p.status = 'processing')
    ORDER BY next_attempt_at, id LIMIT $2::int * 8
), subjects AS MATERIALIZED (
    SELECT subject FROM waiting GROUP BY subject ORDER BY min(next_attempt_at), min(id) LIMIT $2::int
), locked AS MATERIALIZED (
    SELECT subject, pg_try_advisory_lock(hashtextextended(subject, 0)) AS is_ours FROM subjects
), claimed AS (
    UPDATE events e SET status = 'processing', attempts = e.attempts + 1
    FROM locked
    WHERE locked.is_ours AND e.subject = locked.subject AND e.status IN ('received', 'retrying', 'processing')
    RETURNING {EVENT_COLUMNS}
)
SELECT claimed.*, newest.id AS newest_id FROM claimed
LEFT JOIN LATERAL (
    SELECT id FROM events n WHERE n.subject = claimed.subject AND n.status <> 'discarded'
    ORDER BY n.occurred_at DESC, n.id DESC LIMIT 1
) AS newest ON true
ORDER BY claimed.occurred_at, claimed.id
"""

SETTLE = """
UPDATE events e SET status = s.status, reason = s.reason, hint = s.hint,
    next_attempt_at = coalesce(s.next_attempt_at, e.next_attempt_at),
    finished_at = CASE WHEN s.status IN ('processed', 'ignored', 'dead') THEN now() END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
    AS s (id, status, reason, hint, next_attempt_at)
WHERE e.id = s.id AND e.status = 'processing'
"""

RECORD = """
INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome, reason, calls)
SELECT event_id, number, started_at, duration_ms, outcome, reason, calls::jsonb
FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::int[], $5::text[], $6::text[], $7::text[])
    AS a (event_id, number, started_at, duration_ms, outcome, reason, calls)
ON CONFLICT DO NOTHING
"""

UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(subject, 0)) FROM unnest($1::text[]) AS subject"

# `processing` rows whose lock nobody holds: their worker is gone.
RELEASE_ORPHANS = """
UPDATE events SET status = 'retrying', next_attempt_at = now()
WHERE status = 'processing' AND subject <> ALL ($1::text[]) AND NOT EXISTS (
    SELECT 1 FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended(events.subject, 0)
)
RETURNING id
"""


class ClaimsLostError(StoreUnavailableError):
    """The connection that holds the subject locks is gone: work in hand is no longer protected."""


class Claims:
    """The worker's hold on subjects. `on_lost` is called once when the locks are lost."""

    def __init__(self, url: str, on_lost: Callable[[], None]) -> None:
        self._url = url
        self._on_lost = on_lost
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()

    async def claim(self, limit: int, running: Sequence[str]) -> list[Claim]:
        """Take the due events of at most `limit` subjects, oldest first; `running` are subjects in our hands already.

        Raises:
            ClaimsLostError: PostgreSQL is away; all claims of this worker are void.
        """
        async with self._turn:
            rows = await self._run("fetch", CLAIM, list(running), limit)
            newest = await self._finished_newest(rows)
        return _group(rows, newest)

    async def _finished_newest(self, rows: Sequence[asyncpg.Record]) -> dict[int, ClaimedEvent]:
        due = {row["id"] for row in rows}
        missing = sorted({row["newest_id"] for row in rows if row["newest_id"] is not None} - due)
        if not missing:
            return {}
        found = await self._run("fetch", f"SELECT {EVENT_COLUMNS} FROM events e WHERE id = ANY ($1::bigint[])", missing)
        return {row["id"]: _event(row) for row in found}

    async def settle(
        self, settlements: Sequence[Settlement], attempts: Sequence[AttemptRecord], subjects: Sequence[str]
    ) -> None:
        """Commit how events left their try, then free their subjects.

        Raises:
            ClaimsLostError: PostgreSQL is away; what was not committed is done again by whoever claims it next.
        """
        async with self._turn:
            if self._connection is None:
                raise ClaimsLostError("the claims of these events are void: PostgreSQL was away meanwhile")
            connection = self._connection
            try:
                async with connection.transaction():
                    await connection.execute(SETTLE, *_columns_of(settlements))
                    await connection.execute(RECORD, *_columns_of_attempts(attempts))
            except STORE_ERRORS as error:
                await self._lose(error)
            await self._run("execute", UNLOCK, list(subjects))

    async def release_orphans(self, running: Sequence[str]) -> int:
        """Put the events of workers that died back to work; returns how many.

        Raises:
            ClaimsLostError: PostgreSQL is away.
        """
        async with self._turn:
            return len(await self._run("fetch", RELEASE_ORPHANS, list(running)))

    async def close(self) -> None:
        """Free all locks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_termination_listener(self._terminated)
            await connection.close(timeout=5)

    async def _run(self, method: str, query: str, *arguments: object) -> Any:
        try:
            connection = await self._connected()
            return await getattr(connection, method)(query, *arguments)
        except STORE_ERRORS as error:
            return await self._lose(error)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, command_timeout=30)
            self._connection.add_termination_listener(self._terminated)
        return self._connection

    async def _lose(self, error: BaseException) -> None:
        # Whatever went wrong, locks may be held without a row saying so: start again from a clean connection.
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.remove_termination_listener(self._terminated)
            connection.terminate()
        self._on_lost()
        raise ClaimsLostError(f"{type(error).__name__}: {error}") from error

    def _terminated(self, connection: object) -> None:
        if connection is self._connection:
            self._connection = None
            self._on_lost()


def _event(row: asyncpg.Record) -> ClaimedEvent:
    return ClaimedEvent(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        key=row["key"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        series_started_at=row["series_started_at"],
        attempts=row["attempts"],
        body=bytes(row["body"]),
    )


def _group(rows: Sequence[asyncpg.Record], finished: Mapping[int, ClaimedEvent]) -> list[Claim]:
    by_subject: dict[str, list[ClaimedEvent]] = {}
    newest_id: dict[str, int | None] = {}
    for row in rows:
        by_subject.setdefault(row["subject"], []).append(_event(row))
        newest_id[row["subject"]] = row["newest_id"]
    claims = []
    for subject, due in by_subject.items():
        known = {event.id: event for event in due}
        newest = known.get(newest_id[subject] or 0) or finished.get(newest_id[subject] or 0) or due[-1]
        claims.append(Claim(subject, tuple(due), newest, newest_is_due=newest.id in known))
    return claims


def _columns_of(settlements: Sequence[Settlement]) -> tuple[list[object], ...]:
    return (
        [item.event_id for item in settlements],
        [item.status for item in settlements],
        [storable(item.reason) for item in settlements],
        [storable(item.hint) for item in settlements],
        [item.next_attempt_at for item in settlements],
    )


def _columns_of_attempts(attempts: Sequence[AttemptRecord]) -> tuple[list[object], ...]:
    return (
        [item.event_id for item in attempts],
        [item.number for item in attempts],
        [item.started_at for item in attempts],
        [item.duration_ms for item in attempts],
        [item.outcome for item in attempts],
        [storable(item.reason) for item in attempts],
        [json.dumps(list(item.calls)) for item in attempts],
    )
