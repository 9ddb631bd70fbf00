"""Finds out whether there is a pooler before PostgreSQL that gives one connection's statements to several sessions.

Subjects, runs and migrations are locked by session (advisory locks): behind PgBouncer with `pool_mode` transaction or
statement such a lock is left with whichever session the statement met, and holds nobody off.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg

from middleware.store.database import connect

REFUSED_BY_POOLERS = "unsupported startup parameter"
"""How PgBouncer refuses our settings of the session, whatever its pool_mode."""


class Connection(Protocol):
    """What is needed of a connection."""

    def transaction(self) -> Any: ...  # noqa: D102 - as asyncpg's
    async def fetchval(self, query: str) -> Any: ...  # noqa: D102 - as asyncpg's
    def terminate(self) -> None: ...  # noqa: D102 - as asyncpg's


async def _without_statements(url: str) -> asyncpg.Connection:
    """A connection that keeps no prepared statements: they are the first that fails behind a pooler."""
    return await connect(url, statement_cache_size=0)


async def is_pooled(url: str, opened: Callable[[str], Awaitable[Connection]] = _without_statements) -> bool:
    """Whether two connections share a session, or one changes its session between two transactions.

    Raises:
        asyncpg.PostgresError: PostgreSQL (or the pooler) refuses the connection; also the other `STORE_ERRORS`.
    """
    async with _closed_at_end(await opened(url)) as ours, _closed_at_end(await opened(url)) as other:
        try:
            # Twice: a pooler that takes its sessions in turn shows itself here, one that takes the last used one below.
            seen = {await _session(ours), await _session(ours)}
            async with other.transaction():
                theirs = await other.fetchval("SELECT pg_backend_pid()")
                seen.add(await _session(ours))
        except (asyncpg.ConnectionDoesNotExistError, asyncpg.InvalidSQLStatementNameError):
            # pool_mode statement cuts the connection that begins a transaction.
            return True
    return len(seen) > 1 or theirs in seen


async def _session(connection: Connection) -> int:
    async with connection.transaction():
        pid: int = await connection.fetchval("SELECT pg_backend_pid()")
    return pid


@asynccontextmanager
async def _closed_at_end(connection: Connection) -> AsyncIterator[Connection]:
    try:
        yield connection
    finally:
        connection.terminate()
