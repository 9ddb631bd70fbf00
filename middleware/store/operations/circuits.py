"""The circuits of all remote systems, shared by all workers."""

from collections.abc import Callable, Sequence
from dataclasses import astuple

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable
from middleware.traffic.circuit import CLOSED, Circuit

COLUMNS = "failures, subject, is_mixed, open_since, probe_at, probes, message"


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
