"""Our sessions are what our promises need, whatever the database was set to."""

import asyncio

import asyncpg
import pytest

from middleware.store import database
from middleware.store.database import connect, open_pool
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
            results = await asyncio.gather(EventStore(one).store(events), EventStore(other).store(events))
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
