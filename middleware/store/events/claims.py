"""Claiming due events and settling them, one subject at a time.

All subject locks of a worker are PostgreSQL advisory locks of one connection: when the worker dies, however it dies,
the server frees them at once. Nothing expires while the work is going on.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from mappings.codes import Code
from middleware.store.database import STORE_ERRORS, StoreUnavailableError, connect
from middleware.store.events.claim_records import (
    AttemptRecord,
    Claim,
    ClaimedEvent,
    Doubt,
    StatusChange,
    attempt_columns,
    change_columns,
    group,
    read_event,
)
from middleware.store.events.rechecks import remember_doubts

CLOSE_SECONDS = 5
# Events in one attempt: beyond, the newest go first and the others follow, so that no burst fills the memory.
MOST_OF_A_SUBJECT = 100
ORPHANED = "its worker died during the attempt"

EVENT_COLUMNS = (
    "e.id, e.source, e.type, e.key, e.subject, e.occurred_at, e.received_at, e.series_started_at, e.attempts, e.body"
)

# Oldest first; a subject that is at work anywhere is passed over, and so does not hold up others. The lock is asked
# for in a materialized step of its own, so that it is taken for the returned subjects only. A locked subject comes back
# even without events: another worker settled them since our snapshot was taken, and the lock must be given back. Or it
# claimed them and died: then they are orphans like others, with the recheck that is due to them.
CLAIM = f"""
WITH busy AS MATERIALIZED (
    SELECT subject FROM events WHERE status = 'processing'
), waiting AS MATERIALIZED (
    SELECT subject, next_attempt_at, id FROM events w
    WHERE status IN ('received', 'retrying') AND next_attempt_at <= now() AND subject <> ALL ($1::text[])
        AND ($3::text[] = '{{}}' OR subject ^@ ANY ($3::text[])) AND source <> ALL ($4::text[])
        AND subject NOT IN (SELECT subject FROM busy)
    ORDER BY next_attempt_at, id LIMIT $2::int * 8
), subjects AS MATERIALIZED (
    SELECT subject FROM waiting GROUP BY subject ORDER BY min(next_attempt_at), min(id) LIMIT $2::int
), locked AS MATERIALIZED (
    SELECT subject, pg_try_advisory_lock(hashtextextended(subject, 0)) AS is_ours FROM subjects
), chosen AS MATERIALIZED (
    SELECT newest.id FROM locked CROSS JOIN LATERAL (
        SELECT id FROM events c WHERE c.subject = locked.subject AND c.status IN ('received', 'retrying')
        ORDER BY c.occurred_at DESC, c.id DESC LIMIT {MOST_OF_A_SUBJECT}
    ) AS newest WHERE locked.is_ours
), claimed AS (
    UPDATE events e SET status = 'processing', attempts = e.attempts + 1
    WHERE e.id = ANY (ARRAY(SELECT id FROM chosen)) AND e.status IN ('received', 'retrying')
    RETURNING {EVENT_COLUMNS}
)
SELECT locked.subject AS locked_subject, claimed.*, newest.id AS newest_id
FROM locked LEFT JOIN claimed ON claimed.subject = locked.subject
LEFT JOIN LATERAL (
    SELECT id FROM events n WHERE n.subject = claimed.subject AND n.status <> 'discarded'
    ORDER BY n.occurred_at DESC, n.id DESC LIMIT 1
) AS newest ON true
WHERE locked.is_ours
ORDER BY claimed.occurred_at, claimed.id
"""

# One statement, so that one commit carries both: how the events left their attempts, and the attempts. How long to wait
# is counted from our moment ($16), and waited by the clock of PostgreSQL, which tells what is due: ours may be wrong.
SETTLE = """
WITH settled AS (
    UPDATE events e SET status = s.status, outcome_code = s.code, reason = s.reason, hint = s.hint,
        next_attempt_at = coalesce(now() + (s.next_attempt_at - $16::timestamptz), e.next_attempt_at),
        attempts = e.attempts - s.free,
        finished_at = CASE WHEN s.status IN ('processed', 'ignored', 'dead') THEN now() END
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[], $7::text[])
        AS s (id, status, reason, hint, next_attempt_at, free, code)
    WHERE e.id = s.id AND e.status = 'processing'
)
INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome, outcome_code, reason, calls)
SELECT event_id, number, started_at, duration_ms, outcome, code, reason, calls::jsonb
FROM unnest(
    $8::bigint[], $9::int[], $10::timestamptz[], $11::int[], $12::text[], $13::text[], $14::text[], $15::text[]
) AS a (event_id, number, started_at, duration_ms, outcome, reason, calls, code)
ON CONFLICT DO NOTHING
"""

UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(subject, 0)) FROM unnest($1::text[]) AS subject"

# `processing` rows whose lock nobody holds: their worker is gone. Taking the lock is the proof; it ends with the
# transaction. A row that its worker settled meanwhile is no longer `processing` when the update comes to it.
RELEASE_ORPHANS = f"""
WITH suspects AS MATERIALIZED (
    SELECT DISTINCT subject FROM events WHERE status = 'processing' AND subject <> ALL ($1::text[])
), orphans AS MATERIALIZED (
    SELECT subject FROM suspects WHERE pg_try_advisory_xact_lock(hashtextextended(subject, 0))
)
UPDATE events SET status = 'retrying', next_attempt_at = now(), outcome_code = '{Code.WORKER_DIED}',
    reason = '{ORPHANED}', hint = ''
FROM orphans
WHERE events.subject = orphans.subject AND events.status = 'processing'
RETURNING events.id, events.subject
"""


class ClaimsLostError(StoreUnavailableError):
    """The connection that holds the subject locks is gone: work in hand is no longer protected."""


class Claims:
    """The worker's hold on subjects. `on_lost` is called whenever the locks are lost, before anything else is done.

    With `only`, nothing is claimed but subjects that begin with one of these.
    """

    def __init__(self, url: str, on_lost: Callable[[], None], only: Sequence[str] = ()) -> None:
        self._url = url
        self._only = list(only)
        self._on_lost = on_lost
        self._connection: asyncpg.Connection | None = None
        self._hold = 0
        self._turn = asyncio.Lock()

    async def claim(self, limit: int, running: Sequence[str], paused_sources: Sequence[str] = ()) -> list[Claim]:
        """Take the due events of at most `limit` subjects, oldest first; `running` are subjects in our hands already.

        Events of `paused_sources` are left to wait.

        Raises:
            ClaimsLostError: PostgreSQL is away; all claims of this worker are void.
        """
        async with self._turn:
            connection = await self._connected()
            with self._letting_go(connection):
                rows = await connection.fetch(CLAIM, list(running), limit, self._only, list(paused_sources))
                claimed = [row for row in rows if row["id"] is not None]
                newest = await _finished_newest(connection, claimed)
                if empty := [row["locked_subject"] for row in rows if row["id"] is None]:
                    await connection.execute(UNLOCK, empty)
                if connection is not self._connection or connection.is_closed():
                    raise ConnectionError("the connection ended while its answer was read")
            return group(claimed, newest, self._hold)

    async def settle(
        self,
        hold: int,
        changes: Sequence[StatusChange],
        attempts: Sequence[AttemptRecord],
        subjects: Sequence[str],
        doubts: Sequence[Doubt] = (),
    ) -> None:
        """Commit how events left their attempt, then free their subjects; all were claimed under the same `hold`.

        `doubts` are remembered for a recheck before: one too many does no harm.

        Raises:
            ClaimsLostError: PostgreSQL is away; what was not committed is done again by the next worker that claims it.
        """
        async with self._turn:
            connection = self._connection
            if connection is None or hold != self._hold:
                raise ClaimsLostError("the claims of these events are void: PostgreSQL was away meanwhile")
            with self._letting_go(connection):
                if doubts:
                    await remember_doubts(connection, doubts)
                columns = *change_columns(changes), *attempt_columns(attempts)
                await connection.execute(SETTLE, *columns, datetime.now(UTC))
                await connection.execute(UNLOCK, list(subjects))

    async def release_orphans(self, running: Sequence[str]) -> int:
        """Put the events of workers that died back to work; returns how many.

        Raises:
            ClaimsLostError: PostgreSQL is away.
        """
        async with self._turn:
            connection = await self._connected()
            with self._letting_go(connection):
                async with connection.transaction():
                    rows = await connection.fetch(RELEASE_ORPHANS, list(running))
                    # What their worker had asked for may still be carried out.
                    await remember_doubts(connection, [Doubt(row["subject"], row["id"], ORPHANED) for row in rows])
                return len(rows)

    async def close(self) -> None:
        """Free all locks, after a settlement that is under way."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS), self._turn:
                connection, self._connection = self._connection, None
                if connection is not None:
                    connection.remove_termination_listener(self._let_go)
                    await connection.close()
        except (TimeoutError, *STORE_ERRORS):
            self._let_go(self._connection)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and self._connection.is_closed():
            self._let_go(self._connection)
        if self._connection is None:
            try:
                connection = await connect(self._url, command_timeout=30)
            except STORE_ERRORS as error:
                raise ClaimsLostError(f"{type(error).__name__}: {error}") from error
            connection.add_termination_listener(self._let_go)
            self._connection = connection
            self._hold += 1
        return self._connection

    @contextmanager
    def _letting_go(self, connection: asyncpg.Connection) -> Iterator[None]:
        """Whatever fails inside, locks may be held without a row that says so: start again from a clean connection."""
        try:
            yield
        except STORE_ERRORS as error:
            self._let_go(connection)
            raise ClaimsLostError(f"{type(error).__name__}: {error}") from error
        except BaseException:
            self._let_go(connection)
            raise

    def _let_go(self, connection: Any) -> None:
        if self._connection is None or connection is not self._connection:
            return
        self._connection = None
        connection.remove_termination_listener(self._let_go)
        connection.terminate()
        self._on_lost()


async def _finished_newest(connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> dict[int, ClaimedEvent]:
    due = {row["id"] for row in rows}
    missing = sorted({row["newest_id"] for row in rows if row["newest_id"] is not None} - due)
    if not missing:
        return {}
    found = await connection.fetch(f"SELECT {EVENT_COLUMNS} FROM events e WHERE id = ANY ($1::bigint[])", missing)
    return {row["id"]: read_event(row) for row in found}
