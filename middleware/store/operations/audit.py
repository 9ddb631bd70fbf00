"""Who did what and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody did. `action` is `thing.verbed`, `summary` a sentence; `event_ids` are the events it touched."""

    actor: str
    action: str
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)
    event_ids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One line of the audit."""

    id: int
    at: datetime
    actor: str
    action: str
    summary: str
    details: Mapping[str, Any]


_COLUMNS = "audit.id, at, actor, action, summary, details"
_INSERT = "INSERT INTO audit (actor, action, summary, details) VALUES ($1, $2, $3, $4) RETURNING id"


class AuditStore:
    """Reads and writes `audit`; every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def record(self, entry: AuditEntry) -> None:
        """Write down what somebody did."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await write_entry(connection, entry)

    async def was_at(self, actor: str, address: str, since: datetime) -> bool:
        """Whether this person signed in from this address since a moment."""
        with away_is_unavailable():
            found = await self._pool.fetchval(
                "SELECT 1 FROM audit WHERE actor = $1 AND action = 'session.begun' AND details->>'address' = $2"
                " AND at > $3 LIMIT 1",
                actor,
                address,
                since,
            )
        return found is not None

    async def of_event(self, event_id: int) -> list[AuditRow]:
        """What people did to an event, oldest first."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM audit_events JOIN audit ON audit.id = audit_id"
                " WHERE event_id = $1 ORDER BY audit.id",
                event_id,
            )
        return [AuditRow(**row) for row in rows]

    async def list(
        self, *, actor: str = "", action: str = "", before_id: int | None = None, limit: int = 50
    ) -> list[AuditRow]:
        """Newest first; `before_id` continues behind a page."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} FROM audit WHERE ($1 = '' OR actor = $1) AND ($2 = '' OR action = $2)"
                " AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
                actor,
                action,
                before_id,
                limit,
            )
        return [AuditRow(**row) for row in rows]


async def write_entry(connection: Connection, entry: AuditEntry) -> None:
    """Write an entry within the transaction that does it."""
    audit_id = await connection.fetchval(
        _INSERT, entry.actor, entry.action, storable(entry.summary), dict(entry.details)
    )
    if entry.event_ids:
        await connection.execute(
            "INSERT INTO audit_events (event_id, audit_id) SELECT DISTINCT event_id, $2::bigint"
            " FROM unnest($1::bigint[]) AS event_id",
            list(entry.event_ids),
            audit_id,
        )
