"""The circuits of all remote systems, shared by all workers; and how many share the traffic."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable
from middleware.traffic.circuit import CLOSED, Circuit

COLUMNS = "failures, subject, is_mixed, open_since, probe_at, probes, message"
# A worker that is gone counts for this long.
ALIVE = "interval '30 seconds'"
# Held, shared, by each command of a person that makes requests: the server lets go of it when the command dies.
BY_HAND_LOCK = 0x7461_6967_6104

SHARING = f"""
SELECT (SELECT count(*) FROM workers WHERE seen_at > now() - {ALIVE}) + (
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND classid::bigint = $1
        AND objid::bigint = $2 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
"""


class CircuitStore:
    """Reads and writes `circuits`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def all(self) -> dict[str, Circuit]:
        """Every circuit that was ever written.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        with away_is_unavailable():
            rows = await self._pool.fetch(f"SELECT system, {COLUMNS} FROM circuits")
        return {row["system"]: _circuit(row) for row in rows}

    async def change(self, system: str, decide: Callable[[Circuit], Circuit | None]) -> tuple[Circuit, bool]:
        """Replace a circuit by what `decide` makes of it, one worker after the other; None leaves it.

        Returns the circuit as it is now, and whether it was replaced.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO circuits (system) VALUES ($1) ON CONFLICT DO NOTHING", system)
                row = await connection.fetchrow(f"SELECT {COLUMNS} FROM circuits WHERE system = $1 FOR UPDATE", system)
                present = _circuit(row) if row else CLOSED
                decided = decide(present)
                if decided is None or decided == present:
                    return present, False
                await connection.execute(
                    f"UPDATE circuits SET ({COLUMNS}) = ($2, $3, $4, $5, $6, $7, $8) WHERE system = $1",
                    system,
                    *astuple(decided)[:-1],
                    storable(decided.message),
                )
        return decided, True

    async def sharing(self) -> int:
        """How many workers and commands of people share the traffic, at least one.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        with away_is_unavailable():
            count = await self._pool.fetchval(SHARING, BY_HAND_LOCK >> 32, BY_HAND_LOCK & 0xFFFF_FFFF)
        return max(1, int(count or 0))

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """For the command of a person: it counts among those who share the traffic, for as long as the block is open.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        with away_is_unavailable():
            connection = await self._pool.acquire()
        try:
            with away_is_unavailable():
                await connection.execute("SELECT pg_advisory_lock_shared($1)", BY_HAND_LOCK)
            yield
        finally:
            # Not given back to the pool: what ends the connection frees the lock, whatever happened to either.
            connection.terminate()
            await self._pool.release(connection)

    async def waiting(self, sources: Sequence[str]) -> int:
        """How many events of these sources wait.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        with away_is_unavailable():
            count = await self._pool.fetchval(
                "SELECT count(*) FROM events WHERE status IN ('received', 'retrying') AND source = ANY ($1::text[])",
                list(sources),
            )
        return int(count or 0)


def _circuit(row: asyncpg.Record) -> Circuit:
    return Circuit(
        failures=row["failures"],
        subject=row["subject"],
        is_mixed=row["is_mixed"],
        open_since=row["open_since"],
        probe_at=row["probe_at"],
        probes=row["probes"],
        message=row["message"],
    )
