"""Removing what is old and sealing anew, a bounded number of rows at a time, so that nobody waits for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.encryption import CannotOpenError, Edge
from middleware.store.events.search import FIRST_ID_SINCE, SLACK

IDS_AT_A_TIME = 2_000

# What a later webhook of the same task or payment is judged by stays: the newest event of a subject from which
# something was made. So does everything that is not done, or that waits for a person.
MAY_GO = """
e.id >= $1 AND e.id < $2 AND e.received_at < $3 AND e.status IN ('processed', 'ignored', 'discarded')
    AND (e.finished_at IS NULL OR e.finished_at < $3)
    AND NOT (
        (EXISTS (SELECT 1 FROM links WHERE links.subject = e.subject)
            OR EXISTS (SELECT 1 FROM payments WHERE payments.subject = e.subject))
        AND NOT EXISTS (
            SELECT 1 FROM events n WHERE n.subject = e.subject AND n.status <> 'discarded'
                AND (n.occurred_at, n.id) > (e.occurred_at, e.id)
        )
    )
"""
REMOVE_BODIES = f"UPDATE events e SET body = '', headers = '{{}}' WHERE {MAY_GO} AND octet_length(e.body) > 0"
REMOVE_EVENTS = f"DELETE FROM events e WHERE {MAY_GO}"

SEALABLE = (("events", "body"), ("rejections", "sample"))


@dataclass(frozen=True, slots=True)
class Resealed:
    """How much was sealed anew, how much no key opens, and which keys may be taken away now (fingerprints)."""

    done: int = 0
    unreadable: int = 0
    old_keys: tuple[str, ...] = ()


class HousekeepingStore:
    """Raises `StoreUnavailableError` while PostgreSQL is away; what was done until then stays done."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def remove_bodies(self, before: datetime) -> int:
        """Empty the bodies of finished events that arrived before; returns how many."""
        return await self._sweep(REMOVE_BODIES, before)

    async def remove_events(self, before: datetime) -> int:
        """Delete finished events that arrived before, with their attempts; returns how many."""
        return await self._sweep(REMOVE_EVENTS, before)

    async def remove_rejections(self, before: datetime) -> int:
        """Delete refused requests: they hold addresses of people."""
        with away_is_unavailable():
            return _count(await self._pool.execute("DELETE FROM rejections WHERE last_at < $1", before))

    async def _sweep(self, statement: str, before: datetime) -> int:
        done = 0
        async for low, high in self._windows("events", before):
            with away_is_unavailable():
                done += _count(await self._pool.execute(statement, low, high, before))
        return done

    async def _windows(self, table: str, before: datetime | None = None) -> AsyncIterator[tuple[int, int]]:
        """Ranges of ids, together all rows (of events: those that arrived before)."""
        with away_is_unavailable():
            low: int = await self._pool.fetchval(f"SELECT coalesce(min(id), 0) FROM {table}")
            end: int = await self._pool.fetchval(f"SELECT coalesce(max(id), -1) + 1 FROM {table}")
            if before is not None:
                end = await self._pool.fetchval(FIRST_ID_SINCE, before + SLACK)
        while low < end:
            yield low, min(low + IDS_AT_A_TIME, end)
            low += IDS_AT_A_TIME

    async def reseal(self, edge: Edge) -> Resealed:
        """Seal everything with the newest key, unless that was done; afterwards nothing needs the older keys."""
        newest = edge.fingerprints[0]
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT fingerprint FROM sealing_keys WHERE is_done AND fingerprint = $1", newest
            )
            others = await self._pool.fetchval("SELECT count(*) FROM sealing_keys WHERE fingerprint <> $1", newest)
        if rows and not others:
            return Resealed()
        done = unreadable = 0
        for table, column in SEALABLE:
            async for low, high in self._windows(table):
                some, failed = await self._reseal(edge, table, column, (low, high))
                done, unreadable = done + some, unreadable + failed
        return Resealed(done, unreadable, () if unreadable else await self._only(newest))

    async def _reseal(self, edge: Edge, table: str, column: str, ids: tuple[int, int]) -> tuple[int, int]:
        with away_is_unavailable():
            # As hex, because bytes would arrive open.
            rows = await self._pool.fetch(
                f"SELECT id, encode({column}, 'hex') AS stored FROM {table}"
                f" WHERE id >= $1 AND id < $2 AND octet_length({column}) > 0",
                *ids,
            )
        changes, unreadable = [], 0
        for row in rows:
            try:
                again = edge.resealed(bytes.fromhex(row["stored"]))
            except CannotOpenError:
                unreadable += 1
                continue
            if again is not None:
                changes.append((row["id"], row["stored"], again))
        # Only what was read: a body may have been emptied meanwhile.
        update = f"UPDATE {table} SET {column} = $3 WHERE id = $1 AND {column} = decode($2, 'hex')"
        with away_is_unavailable():
            await self._pool.executemany(update, changes)
        return len(changes), unreadable

    async def _only(self, newest: str) -> tuple[str, ...]:
        with away_is_unavailable():
            await self._pool.execute("UPDATE sealing_keys SET is_done = true WHERE fingerprint = $1", newest)
            rows = await self._pool.fetch(
                "DELETE FROM sealing_keys WHERE fingerprint <> $1 RETURNING fingerprint", newest
            )
        return tuple(row["fingerprint"] for row in rows)


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
