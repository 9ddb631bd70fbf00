"""The memory of effects (`links`) and what waits for a person (`reviews`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from handlers.ports.context import Link
from middleware.store.batching import Batcher, PooledBatcher
from middleware.store.database import as_json, away_is_unavailable
from middleware.store.text import storable

MOST_TOGETHER = 100

OF_SUBJECTS = """
SELECT subject, kind, number, remote_id, state FROM links WHERE subject = ANY ($1::text[]) ORDER BY created_at, number
"""

TIME_ENTRIES = """
SELECT subject, kind, number, remote_id, state FROM links
WHERE kind = 'time_entry' AND starts_with(subject, 'taiga:') AND remote_id <> '' AND state ? 'sent'
    AND NOT coalesce((state ->> 'is_removed')::boolean, false)
ORDER BY subject, number
"""

SAVE = """
INSERT INTO links (subject, kind, number, remote_id, state)
SELECT subject, kind, number, remote_id, state::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS new (subject, kind, number, remote_id, state)
ON CONFLICT (subject, kind, number) DO UPDATE
SET remote_id = excluded.remote_id, state = excluded.state, updated_at = now()
"""


CLOSE = """
UPDATE reviews SET closed_at = now(), closed_why = gone.why
FROM unnest($1::text[], $2::text[], $3::text[]) AS gone (subject, kind, why)
WHERE reviews.subject = gone.subject AND reviews.kind = gone.kind AND closed_at IS NULL
"""


class LinkStore:
    """Implements `handlers.ports.context.Links`; raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._reads = Batcher(self._of_subjects, MOST_TOGETHER)
        self._writes = PooledBatcher(pool, self._save_all, MOST_TOGETHER)

    async def of_subject(self, subject: str) -> Sequence[Link]:
        """All links of a subject, oldest first."""
        return await self._reads.submit(subject)

    async def save(self, link: Link) -> None:
        """Insert or replace (subject, kind, number)."""
        await self._writes.submit((link, as_json(link.state)))

    async def time_entries(self) -> list[Link]:
        """The links of all time entries from Taiga that were not removed."""
        with away_is_unavailable():
            rows = await self._pool.fetch(TIME_ENTRIES)
        return [Link(**row) for row in rows]

    async def _of_subjects(self, subjects: Sequence[str]) -> Sequence[Sequence[Link]]:
        with away_is_unavailable():
            rows = await self._pool.fetch(OF_SUBJECTS, subjects)
        found: dict[str, list[Link]] = {subject: [] for subject in subjects}
        for row in rows:
            found[row["subject"]].append(Link(**row))
        return [found[subject] for subject in subjects]

    async def _save_all(self, connection: asyncpg.Connection, links: Sequence[tuple[Link, str]]) -> Sequence[None]:
        # One row for each identity, in one order for all workers: they must not wait for each other crosswise.
        rows = sorted(
            {(link.subject, link.kind, link.number): (link.remote_id, state) for link, state in links}.items()
        )
        with away_is_unavailable():
            await connection.execute(
                SAVE,
                [subject for (subject, _, _), _ in rows],
                [kind for (_, kind, _), _ in rows],
                [number for (_, _, number), _ in rows],
                [remote_id for _, (remote_id, _) in rows],
                [state for _, (_, state) in rows],
            )
        return [None] * len(links)

    async def remove(self, link: Link) -> None:
        """Forget a link whose record is gone."""
        with away_is_unavailable():
            await self._pool.execute(
                "DELETE FROM links WHERE subject = $1 AND kind = $2 AND number = $3",
                link.subject,
                link.kind,
                link.number,
            )


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """Something that waits for a person."""

    id: int
    subject: str
    kind: str
    summary: str
    details: Mapping[str, Any]
    opened_at: datetime
    updated_at: datetime


class ReviewStore:
    """Implements `handlers.ports.context.Reviews`; raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._closings = PooledBatcher(pool, self._close_all, MOST_TOGETHER)

    async def open(self, subject: str, kind: str, summary: str, details: Mapping[str, Any]) -> None:
        """Open the review of this kind for the subject, or refresh the open one."""
        with away_is_unavailable():
            await self._pool.execute(
                "INSERT INTO reviews (subject, kind, summary, details) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (subject, kind) WHERE closed_at IS NULL DO UPDATE"
                " SET summary = excluded.summary, details = excluded.details, updated_at = now()",
                subject,
                kind,
                storable(summary),
                dict(details),
            )

    async def close(self, subject: str, kind: str, why: str) -> None:
        """Close it, if open."""
        await self._closings.submit((subject, kind, storable(why)))

    async def _close_all(
        self, connection: asyncpg.Connection, closings: Sequence[tuple[str, str, str]]
    ) -> Sequence[None]:
        with away_is_unavailable():
            await connection.execute(CLOSE, *(list(column) for column in zip(*sorted(set(closings)), strict=True)))
        return [None] * len(closings)

    async def is_open(self, subject: str, kind: str) -> bool:
        """Whether a person is asked about this now."""
        found = await self._pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM reviews WHERE subject = $1 AND kind = $2 AND closed_at IS NULL)",
            storable(subject),
            storable(kind),
        )
        return bool(found)

    async def list_open(self, kind: str | None = None, limit: int = 200) -> list[ReviewRow]:
        """What needs a person, oldest first."""
        rows = await self._pool.fetch(
            "SELECT id, subject, kind, summary, details, opened_at, updated_at FROM reviews"
            " WHERE closed_at IS NULL AND ($1::text IS NULL OR kind = $1) ORDER BY id LIMIT $2",
            kind,
            limit,
        )
        return [ReviewRow(**row) for row in rows]
