"""The circuits of all remote systems, shared by all workers."""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

COLUMNS = "failures, subject, is_mixed, open_since, probe_at, probes, message"


LONGEST_PAUSE = 60.0
"""Seconds between two tries of a system that fails everybody."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """What all workers together know of one system. `probes` counts the attempts that failed since it is open."""

    failures: int = 0
    subject: str = ""
    is_mixed: bool = False
    open_since: datetime | None = None
    probe_at: datetime | None = None
    probes: int = 0
    message: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the system is left alone."""
        return self.open_since is not None

    @property
    def is_calm(self) -> bool:
        """Whether there is nothing to forget."""
        return self == CLOSED

    @property
    def in_words(self) -> str:
        """Since when the system is left alone, and why; "" while it is not."""
        return f"away since {self.open_since:%Y-%m-%d %H:%M:%S} UTC ({self.message})" if self.open_since else ""

    def probe_is_due(self, now: datetime) -> bool:
        """Whether somebody may try again."""
        # One that is too far away was set by a machine whose clock is wrong.
        return self.probe_at is not None and not now < self.probe_at <= now + 2 * timedelta(seconds=LONGEST_PAUSE)

    def seconds_to_probe(self, now: datetime) -> float:
        """How long until somebody may try again."""
        return max(0.0, (self.probe_at - now).total_seconds()) if self.probe_at else 0.0


CLOSED = Circuit()


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
