"""Refused requests (`rejections`, bounded) and the last use of each webhook key (`key_uses`)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.encryption import sealed
from middleware.store.text import storable

ROWS_KEPT = 10_000

SAVE = """
INSERT INTO rejections (source, reason, message, address, minute, first_at, last_at, requests, headers, sample)
SELECT source, reason, message, address, date_trunc('minute', first_at), first_at, last_at, requests,
    headers::jsonb, sample
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
    $8::text[], $9::bytea[]) AS r (source, reason, message, address, first_at, last_at, requests, headers, sample)
ON CONFLICT ON CONSTRAINT rejections_group DO UPDATE
SET requests = rejections.requests + excluded.requests, last_at = greatest(rejections.last_at, excluded.last_at)
"""

# Counted, for adding to a row uses up an id as well.
FORGET = "DELETE FROM rejections WHERE id <= (SELECT id FROM rejections ORDER BY id DESC OFFSET $1 LIMIT 1)"

USED = """
INSERT INTO key_uses (source, fingerprint, first_at, last_at)
SELECT source, fingerprint, used_at, used_at
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS u (source, fingerprint, used_at)
ON CONFLICT (source, fingerprint) DO UPDATE SET last_at = greatest(key_uses.last_at, excluded.last_at)
"""

LIST = """
SELECT id, source, reason, message, address, first_at, last_at, requests, headers, sample FROM rejections
WHERE ($1 = '' OR source = $1) AND ($2 = '' OR reason = $2) AND ($3 = '' OR address = $3)
    AND ($4::timestamptz IS NULL OR last_at >= $4) AND ($5::bigint IS NULL OR id < $5)
ORDER BY id DESC LIMIT $6
"""


@dataclass(slots=True)
class Rejections:
    """Like requests that were refused within the same minute. `sample` is the beginning of the first body."""

    source: str
    reason: str
    message: str
    address: str
    first_at: datetime
    last_at: datetime
    requests: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    sample: bytes = b""


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A stored group of refused requests."""

    id: int
    source: str
    reason: str
    message: str
    address: str
    first_at: datetime
    last_at: datetime
    requests: int
    headers: Mapping[str, str]
    sample: bytes


@dataclass(frozen=True, slots=True)
class KeyUse:
    """When a key, known by its fingerprint, proved a delivery first and last."""

    source: str
    fingerprint: str
    first_at: datetime
    last_at: datetime


class RejectionStore:
    """Raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, groups: Sequence[Rejections]) -> None:
        """Add to the groups of these minutes; no two may be of the same sender, reason and minute."""
        with away_is_unavailable():
            await self._pool.execute(
                SAVE,
                [one.source for one in groups],
                [one.reason for one in groups],
                [storable(one.message) for one in groups],
                [storable(one.address) for one in groups],
                [one.first_at for one in groups],
                [one.last_at for one in groups],
                [one.requests for one in groups],
                [json.dumps({name: storable(value) for name, value in one.headers.items()}) for one in groups],
                [sealed(one.sample) for one in groups],
            )
            await self._pool.execute(FORGET, ROWS_KEPT)

    async def page(
        self,
        *,
        source: str = "",
        reason: str = "",
        address: str = "",
        since: datetime | None = None,
        before_id: int | None = None,
        limit: int = 50,
    ) -> list[RejectionRow]:
        """Newest first; `before_id` continues behind a page. The table is small, whatever happens."""
        with away_is_unavailable():
            rows = await self._pool.fetch(LIST, source, reason, address, since, before_id, limit)
        return [RejectionRow(**{**row, "sample": bytes(row["sample"])}) for row in rows]

    async def keys_used(self, uses: Mapping[tuple[str, str], datetime]) -> None:
        """Write down when keys were used, by (source, fingerprint)."""
        with away_is_unavailable():
            await self._pool.execute(
                USED, [source for source, _ in uses], [mark for _, mark in uses], list(uses.values())
            )

    async def key_uses(self) -> list[KeyUse]:
        """The use of all keys ever seen."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT source, fingerprint, first_at, last_at FROM key_uses ORDER BY source, last_at DESC"
            )
        return [KeyUse(**row) for row in rows]
