"""Heartbeats of workers, and what they last learned of the remote systems."""

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from middleware.store.text import storable

# Rows of workers that are gone for good are cleared away.
FORGET_AFTER = "1 day"


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What the workers last learned of a remote system. `state`: ok, refused or unreachable."""

    system: str
    state: str
    since: datetime
    message: str


class WorkerStore:
    """Reads and writes `workers` and `remotes`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def beat(self, worker_id: str, version: str) -> None:
        """Say that this worker is alive."""
        await self._pool.execute(
            "INSERT INTO workers (id, version) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen_at = now()",
            worker_id,
            version,
        )
        await self._pool.execute(f"DELETE FROM workers WHERE seen_at < now() - interval '{FORGET_AFTER}'")

    async def leave(self, worker_id: str) -> None:
        """Say goodbye."""
        await self._pool.execute("DELETE FROM workers WHERE id = $1", worker_id)

    async def seconds_since_beat(self) -> float | None:
        """Age of the freshest heartbeat in seconds; None when no worker ever ran."""
        age = await self._pool.fetchval("SELECT extract(epoch FROM now() - max(seen_at))::float8 FROM workers")
        return None if age is None else float(age)

    async def note(self, system: str, state: str, message: str) -> None:
        """Remember the state of a remote system; `since` moves only when the state changes."""
        await self._pool.execute(
            "INSERT INTO remotes (system, state, message) VALUES ($1, $2, $3) ON CONFLICT (system) DO UPDATE"
            " SET state = excluded.state, message = excluded.message, seen_at = now(),"
            " since = CASE WHEN remotes.state = excluded.state THEN remotes.since ELSE now() END",
            system,
            state,
            storable(message),
        )

    async def remotes(self) -> list[RemoteState]:
        """The known remote systems."""
        rows = await self._pool.fetch("SELECT system, state, since, message FROM remotes ORDER BY system")
        return [RemoteState(**row) for row in rows]
