"""Alerts that were sent and that are still to be sent, kept across restarts and shared by all workers."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable


@dataclass(frozen=True, slots=True)
class KnownCondition:
    """A condition as it is remembered. `told_at` None: no message named it yet; `recovered_at` None: it lasts."""

    kind: str
    key: str
    summary: str
    since: datetime
    told_at: datetime | None = None
    recovered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KindState:
    """When a message of a kind was sent, and when sending failed (and how often in a row)."""

    sent_at: datetime | None = None
    failed_at: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The next message of a kind: what is new, what is over, and how many last that were reported before."""

    kind: str
    new: tuple[KnownCondition, ...]
    over: tuple[KnownCondition, ...]
    lasting: int


SENDER_LOCK = 0x7461_6967_6106
_KEPT_LONGEST = "30 days"

_WRITE = """
INSERT INTO alerts (kind, key, summary, since, told_at, recovered_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (kind, key) DO UPDATE
SET summary = excluded.summary, told_at = excluded.told_at, recovered_at = excluded.recovered_at
"""
_SENT = """
INSERT INTO alert_kinds (kind, sent_at, message) VALUES ($1, $2, $3) ON CONFLICT (kind) DO UPDATE
SET sent_at = excluded.sent_at, failed_at = NULL, failures = 0, message = excluded.message
"""
_FAILED = """
INSERT INTO alert_kinds (kind, failed_at, failures, message) VALUES ($1, $2, 1, $3) ON CONFLICT (kind) DO UPDATE
SET failed_at = excluded.failed_at, failures = alert_kinds.failures + 1, message = excluded.message
"""


class AlertStore:
    """Reads and writes `alerts` and `alert_kinds`; raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def only_sender(self) -> AsyncIterator[bool]:
        """Whether we are the one of all workers who looks and sends, for as long as the block is open."""
        async with self._pool.acquire() as connection:
            is_ours = await connection.fetchval("SELECT pg_try_advisory_lock($1)", SENDER_LOCK)
            try:
                yield bool(is_ours)
            finally:
                if is_ours:
                    await connection.execute("SELECT pg_advisory_unlock($1)", SENDER_LOCK)

    async def known(self) -> list[KnownCondition]:
        """Everything that lasts, or whose end is still to be reported, oldest first."""
        with away_is_unavailable():
            await self._pool.execute(f"DELETE FROM alerts WHERE since < now() - interval '{_KEPT_LONGEST}'")
            rows = await self._pool.fetch(
                "SELECT kind, key, summary, since, told_at, recovered_at FROM alerts ORDER BY since, key"
            )
        return [KnownCondition(**row) for row in rows]

    async def write(self, written: Collection[KnownCondition], forgotten: Collection[KnownCondition]) -> None:
        """Remember what a look found."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.executemany(_WRITE, [_as_row(row) for row in written])
                await _forget(connection, forgotten)

    async def states(self) -> Mapping[str, KindState]:
        """When the last message of each kind was sent."""
        with away_is_unavailable():
            rows = await self._pool.fetch("SELECT kind, sent_at, failed_at, failures FROM alert_kinds")
        return {row["kind"]: KindState(row["sent_at"], row["failed_at"], row["failures"]) for row in rows}

    async def told(self, batch: Batch, title: str, now: datetime) -> None:
        """The message of this batch was sent: remember it for what is new, and forget what is over."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                keys = [row.key for row in batch.new]
                await connection.execute(
                    "UPDATE alerts SET told_at = $3 WHERE kind = $1 AND key = ANY ($2)", batch.kind, keys, now
                )
                await _forget(connection, batch.over)
                await connection.execute(_SENT, batch.kind, now, storable(title))

    async def failed(self, batch: Batch, reason: str, now: datetime) -> None:
        """No address took the message of this batch."""
        with away_is_unavailable():
            await self._pool.execute(_FAILED, batch.kind, now, storable(reason))


def _as_row(row: KnownCondition) -> Sequence[object]:
    return (row.kind, row.key, storable(row.summary), row.since, row.told_at, row.recovered_at)


async def _forget(connection: asyncpg.pool.PoolConnectionProxy, rows: Collection[KnownCondition]) -> None:
    await connection.execute(
        "DELETE FROM alerts USING unnest($1::text[], $2::text[]) AS gone (kind, key)"
        " WHERE alerts.kind = gone.kind AND alerts.key = gone.key",
        [row.kind for row in rows],
        [row.key for row in rows],
    )
