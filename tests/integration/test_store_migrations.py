"""Migrations: from nothing to the present schema, once, whoever starts at the same time."""

import asyncio

import asyncpg
import pytest

from middleware.store.database import NewerSchemaError, migrate, migrations


async def test_from_nothing(blank_database: str) -> None:
    """An empty database gets every migration in order, and a second start applies none."""
    names = [migration.name for migration in migrations()]
    assert await migrate(blank_database) == names
    assert await migrate(blank_database) == []
    connection = await asyncpg.connect(blank_database)
    rows = await connection.fetch("SELECT version, name FROM migrations ORDER BY version")
    await connection.close()
    assert [row["name"] for row in rows] == names
    assert [row["version"] for row in rows] == [migration.version for migration in migrations()]


async def test_several_programs_at_once(blank_database: str) -> None:
    """Programs that start together apply each migration once, and all of them go on."""
    results = await asyncio.gather(*(migrate(blank_database) for _ in range(5)))
    assert sorted(results, key=len) == [[], [], [], [], [migration.name for migration in migrations()]]


async def test_newer_schema_is_refused(blank_database: str) -> None:
    """A database that a newer version migrated is refused with what to do, and left as it is."""
    await migrate(blank_database)
    connection = await asyncpg.connect(blank_database)
    await connection.execute("INSERT INTO migrations (version, name) VALUES (9999, '9999_future')")
    with pytest.raises(NewerSchemaError, match=r"has migration 9999.*install the newer"):
        await migrate(blank_database)
    assert await connection.fetchval("SELECT count(*) FROM migrations") == len(migrations()) + 1
    await connection.close()


async def test_failed_migration_leaves_nothing(blank_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that fails is undone whole, and the lock is free for the next start."""
    from middleware.store import database  # noqa: PLC0415 - patched here

    broken = [*migrations(), database.Migration(9998, "9998_broken", "CREATE TABLE half (); SELECT 1 / 0")]
    monkeypatch.setattr(database, "migrations", lambda: broken)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(blank_database)
    monkeypatch.undo()
    assert await migrate(blank_database) == []
    connection = await asyncpg.connect(blank_database)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


def test_numbers_are_unique() -> None:
    """Two people who add a migration at the same time notice it here."""
    versions = [migration.version for migration in migrations()]
    assert len(set(versions)) == len(versions)
    assert versions == sorted(versions)
