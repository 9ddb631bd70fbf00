"""Our sessions are what our promises need, whatever the database was set to."""

import asyncio

import asyncpg
import pytest

from middleware.store import database
from middleware.store.database import (
    StoreUnavailableError,
    UnsuitableDatabaseError,
    connect,
    migrate,
    open_pool,
    ping,
)
from middleware.store.events.events import EventStore
from tests.support.databases import name_of
from tests.support.pipeline import new_event, until


async def set_for_all(url: str, name: str, value: str) -> None:
    """A setting that every new session of the database gets."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER DATABASE \"{name_of(url).partition('?')[0]}\" SET {name} = '{value}'")
    await connection.close()


async def test_acknowledged_means_on_disk(fresh_database: str) -> None:
    """A commit is awaited until it is on disk, also where that was switched off; a stricter setting stays."""
    for given, ours in (("off", "on"), ("remote_apply", "remote_apply")):
        await set_for_all(fresh_database, "synchronous_commit", given)
        async with open_pool(fresh_database, size=1) as pool:
            assert await pool.fetchval("SHOW synchronous_commit") == ours
            await pool.execute("SELECT 1")
            assert await pool.fetchval("SHOW synchronous_commit") == ours
        connection = await connect(fresh_database)
        assert await connection.fetchval("SHOW synchronous_commit") == ours
        await connection.close()


async def test_deliveries_that_arrive_twice_at_the_same_time(fresh_database: str) -> None:
    """Two receivers that get the same deliveries acknowledge both, whatever isolation the database was set to."""
    await set_for_all(fresh_database, "default_transaction_isolation", "repeatable read")
    async with open_pool(fresh_database, size=2) as one, open_pool(fresh_database, size=2) as other:
        for number in range(50):
            events = [new_event(f"s{number}", second) for second in range(5)]
            results = await asyncio.gather(EventStore(one).insert(events), EventStore(other).insert(events))
            assert sum(stored.is_duplicate for result in results for stored in result) == 5


async def test_connection_that_cannot_be_prepared(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that fails after it was opened is closed: a server that hangs must not fill up with them."""

    async def hang(_connection: asyncpg.Connection) -> None:
        raise TimeoutError

    monkeypatch.setattr(database, "open_on_arrival", hang)
    with pytest.raises(TimeoutError):
        await connect(fresh_database)
    watcher = await asyncpg.connect(fresh_database)

    async def is_alone() -> bool:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        return not await watcher.fetchval(ours)

    await until(is_alone, seconds=5)
    await watcher.close()


async def test_read_only_for_a_while(fresh_database: str) -> None:
    """A database that was read-only once is told by readiness, and heals by itself with the next request."""
    async with open_pool(fresh_database, size=3) as pool, open_pool(fresh_database, size=1) as idle:
        await ping(idle)
        await set_for_all(fresh_database, "default_transaction_read_only", "on")
        await pool.expire_connections()
        store = EventStore(pool)
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="ReadOnlySQLTransactionError"):
                await store.insert([new_event("s1")])
        with pytest.raises(StoreUnavailableError, match="read-only"):
            await ping(pool)
        dedicated = await connect(fresh_database)
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await dedicated.execute("DELETE FROM events")
        await until_closed(dedicated)
        await writable_again(fresh_database)
        with pytest.raises(StoreUnavailableError):
            await store.insert([new_event("s1")])
        (stored,) = await store.insert([new_event("s1")])
        assert not stored.is_duplicate
        await ping(pool)


async def writable_again(url: str) -> None:
    """Let new sessions write."""
    connection = await asyncpg.connect(url)
    await connection.execute("SET default_transaction_read_only = off")
    await connection.execute(f'ALTER DATABASE "{name_of(url).partition("?")[0]}" RESET default_transaction_read_only')
    await connection.close()


async def until_closed(connection: asyncpg.Connection) -> None:
    """Wait for the end of a connection."""

    async def is_closed() -> bool:
        return connection.is_closed()

    await until(is_closed, seconds=5)


async def test_idle_sessions_keep_their_locks(fresh_database: str) -> None:
    """A session that holds a lock while Invoice Ninja is slow is not ended by the server."""
    await set_for_all(fresh_database, "idle_session_timeout", "1s")
    connection = await connect(fresh_database)
    assert await connection.fetchval("SHOW idle_session_timeout") == "0"
    await connection.close()


async def test_an_encoding_that_cannot_hold_every_text(database_url: str) -> None:
    """A database in LATIN1 is refused at the start, with what to do."""
    server = await asyncpg.connect(database_url)
    await server.execute("DROP DATABASE IF EXISTS latin")
    await server.execute(
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc TEMPLATE template0"
    )
    try:
        with pytest.raises(UnsuitableDatabaseError, match=r"LATIN1.*ENCODING 'UTF8'"):
            await migrate(database_url.replace(f"/{name_of(database_url).partition('?')[0]}", "/latin", 1))
    finally:
        await server.execute("DROP DATABASE latin")
        await server.close()
