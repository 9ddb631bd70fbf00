"""How one migration is applied without holding up those who work: two versions of this program may run side by side.

A migration runs in a transaction and waits only shortly for its locks: who waits longer makes everybody behind it wait,
and Taiga gives up a webhook for good. What would lock a big table for long (an index) is in a file that begins with
`-- outside a transaction`: its statements run one by one and can be repeated after an interruption.
"""

import asyncio
import re

import asyncpg

ONLINE = "-- outside a transaction"
LOCK_TIMEOUT = "2s"
TRIES, PAUSE = 30, 1.0
POLL = 0.1

_END_OF_STATEMENT = re.compile(r";\s*$", re.MULTILINE)


async def take_turn(connection: asyncpg.Connection, lock: int) -> None:
    """Wait until no other program migrates.

    By asking again and again: a statement that waits for the lock would itself be waited for by an index that the other
    program builds.
    """
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):  # noqa: ASYNC110 - a lock of others
        await asyncio.sleep(POLL)


async def apply(connection: asyncpg.Connection, version: int, name: str, sql: str) -> None:
    """Apply one migration and remember it.

    Raises:
        asyncpg.LockNotAvailableError: somebody held a table for half a minute.
    """
    if sql.startswith(ONLINE):
        for statement in _END_OF_STATEMENT.split(sql):
            if statement.strip():
                await connection.execute(statement)
        await _remember(connection, version, name)
        return
    for last_try in [False] * (TRIES - 1) + [True]:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                await connection.execute(sql)
                await _remember(connection, version, name)
        except asyncpg.LockNotAvailableError:
            if last_try:
                raise
            await asyncio.sleep(PAUSE)
        else:
            return


async def _remember(connection: asyncpg.Connection, version: int, name: str) -> None:
    await connection.execute("INSERT INTO migrations (version, name) VALUES ($1, $2)", version, name)
