"""What the looks at Taiga found (`seen`), and the runs of reconciling."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence, Sized
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Protocol

import asyncpg

from handlers.reconcile.taiga_models import Seen
from mappings.taiga.models import WorkKind
from middleware.store.database import away_is_unavailable
from middleware.store.events.newest import NewestEvent
from middleware.store.text import storable

RUN_LOCKS = {"taiga": 0x7461_6967_6102, "stripe": 0x7461_6967_6103}
"""One for each source that is reconciled."""

LONGEST_WAIT = 24 * 3600.0
"""Seconds that a run waits for the end of another one."""

RUNS_KEPT = 1000

COLUMNS = "subject, project_id, kind, item_id, state, row_mark, content, puts, read_at"

SAVE = f"""
INSERT INTO seen ({COLUMNS})
SELECT {COLUMNS} FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[],
    $8::int[], $9::timestamptz[]) AS s ({COLUMNS})
ON CONFLICT (subject) DO UPDATE SET project_id = excluded.project_id, state = excluded.state,
    row_mark = excluded.row_mark, content = excluded.content, puts = excluded.puts, read_at = excluded.read_at
"""

OLDEST_READ = f"""
SELECT {COLUMNS} FROM seen
WHERE state = 'closed' AND project_id = ANY ($1::bigint[]) AND $2 = EXISTS (
    SELECT 1 FROM links WHERE links.subject = seen.subject AND links.kind = 'time_entry'
)
ORDER BY read_at LIMIT $3
"""

NEWEST = """
SELECT newest.* FROM unnest($1::text[]) AS asked (subject)
CROSS JOIN LATERAL (
    SELECT subject, id, status, body, outcome_code FROM events WHERE events.subject = asked.subject
    ORDER BY occurred_at DESC, id DESC LIMIT 1
) AS newest
"""


class Counts(Protocol):
    """What is kept of the report of a run."""

    @property
    def looked_at(self) -> int: ...  # noqa: D102 - as in `reconcile_runs`
    @property
    def items_read(self) -> int: ...  # noqa: D102 - as in `reconcile_runs`
    @property
    def postponed(self) -> int: ...  # noqa: D102 - as in `reconcile_runs`
    @property
    def differences(self) -> Sized: ...  # noqa: D102 - as in `reconcile_runs`


class SeenStore:
    """Reads and writes `seen`; raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of_project(self, project_id: int, kind: WorkKind) -> Mapping[str, Seen]:
        """What was seen of a project, by subject."""
        query = f"SELECT {COLUMNS} FROM seen WHERE project_id = $1 AND kind = $2"
        with away_is_unavailable():
            rows = await self._pool.fetch(query, project_id, kind)
        return {row["subject"]: Seen(**row) for row in rows}

    async def oldest_read(self, project_ids: Collection[int], *, linked: bool, limit: int) -> Sequence[Seen]:
        """Closed items that were not read for longest; with or without a time entry."""
        with away_is_unavailable():
            rows = await self._pool.fetch(OLDEST_READ, list(project_ids), linked, limit)
        return [Seen(**row) for row in rows]

    async def linked(self, kind: WorkKind) -> Collection[str]:
        """The subjects of this kind that have a time entry."""
        return await self._subjects(
            "SELECT DISTINCT subject FROM links WHERE kind = 'time_entry' AND subject LIKE $1", kind
        )

    async def linked_unseen(self, kind: WorkKind) -> Collection[str]:
        """Those of them that no look has found yet."""
        return await self._subjects(
            "SELECT DISTINCT subject FROM links WHERE kind = 'time_entry' AND subject LIKE $1"
            " AND NOT EXISTS (SELECT 1 FROM seen WHERE seen.subject = links.subject) ORDER BY subject",
            kind,
        )

    async def _subjects(self, query: str, kind: WorkKind) -> dict[str, None]:
        with away_is_unavailable():
            rows = await self._pool.fetch(query, f"taiga:{kind}:%")
        return dict.fromkeys(row["subject"] for row in rows)

    async def newest_rows(self, subjects: Collection[str]) -> list[NewestEvent]:
        """The newest event of each subject that has any, discarded ones included."""
        with away_is_unavailable():
            rows = await self._pool.fetch(NEWEST, list(subjects))
        return [
            NewestEvent(row["id"], row["subject"], row["status"], bytes(row["body"]), row["outcome_code"])
            for row in rows
        ]

    async def save(self, seen: Collection[Seen]) -> None:
        """Remember them."""
        if not seen:
            return
        names = COLUMNS.split(", ")
        rows = [asdict(one) for one in seen]
        with away_is_unavailable():
            await self._pool.execute(SAVE, *([row[name] for row in rows] for name in names))


class RunStore:
    """Reads and writes `reconcile_runs`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def alone(self, source: str, *, waits: bool = False) -> AsyncIterator[bool]:
        """Whether this is the only run, for as long as the block is open: two at a time would read everything twice.

        `waits`: first for the end of the one that is under way. PostgreSQL lets nobody pass who comes later.
        """
        lock = RUN_LOCKS[source]
        async with self._pool.acquire() as connection:
            try:
                is_alone = await _locked(connection, lock, waits=waits)
            except BaseException:
                # Nobody knows whether it was given just then: it ends with its connection.
                connection.terminate()
                raise
            try:
                yield is_alone
            finally:
                if is_alone:
                    await connection.execute("SELECT pg_advisory_unlock($1)", lock)

    async def begin(self, source: str, scope: str) -> int:
        """A run begins; returns its id. Only the last runs are kept."""
        with away_is_unavailable():
            run_id: int = await self._pool.fetchval(
                "INSERT INTO reconcile_runs (source, scope) VALUES ($1, $2) RETURNING id", source, scope
            )
            await self._pool.execute("DELETE FROM reconcile_runs WHERE id <= $1", run_id - RUNS_KEPT)
        return run_id

    async def end(self, run_id: int, report: Counts | None, message: str) -> None:
        """A run is over; `report` is None when it failed."""
        with away_is_unavailable():
            await self._pool.execute(
                "UPDATE reconcile_runs SET finished_at = now(), looked_at = $2, items_read = $3, differed = $4,"
                " postponed = $5, message = $6 WHERE id = $1",
                run_id,
                report.looked_at if report else 0,
                report.items_read if report else 0,
                len(report.differences) if report else 0,
                report.postponed if report else 0,
                storable(message),
            )

    async def last_good_start(self, source: str, scopes: Collection[str]) -> datetime | None:
        """When the last run of these scopes that looked at everything began."""
        with away_is_unavailable():
            started: datetime | None = await self._pool.fetchval(
                "SELECT max(started_at) FROM reconcile_runs"
                " WHERE source = $1 AND scope = ANY ($2::text[]) AND finished_at IS NOT NULL AND message = ''"
                " AND postponed = 0",
                source,
                list(scopes),
            )
        return started


async def _locked(connection: asyncpg.pool.PoolConnectionProxy, lock: int, *, waits: bool) -> bool:
    if waits:
        await connection.execute("SELECT pg_advisory_lock($1)", lock, timeout=LONGEST_WAIT)
        return True
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock))
