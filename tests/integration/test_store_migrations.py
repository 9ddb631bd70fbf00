"""Migrations: from nothing to the present schema, once, whoever starts at the same time."""

import asyncio
import re

import asyncpg
import pytest

from middleware.store import database
from middleware.store import migration as schema_change
from middleware.store.database import NewerSchemaError, migrate, migrations
from middleware.store.migration import ONLINE


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
    broken = [*migrations(), database.Migration(9998, "9998_broken", "CREATE TABLE half (); SELECT 1 / 0")]
    monkeypatch.setattr(database, "migrations", lambda: broken)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(blank_database)
    monkeypatch.undo()
    assert await migrate(blank_database) == []
    connection = await asyncpg.connect(blank_database)
    assert await connection.fetchval("SELECT to_regclass('half')") is None
    await connection.close()


def test_indexes_of_big_tables_are_built_beside_the_work() -> None:
    """After the first version no migration locks the tables that every webhook writes to, but for a moment."""
    for migration in migrations()[1:]:
        if migration.sql.startswith(ONLINE):
            assert "CREATE INDEX" not in migration.sql.replace("CREATE INDEX CONCURRENTLY", "")
            continue
        for table in ("events", "attempts", "links"):
            assert not re.search(rf"INDEX [a-z_]+ ON {table} ", migration.sql), migration.name
            assert not re.search(rf"ALTER TABLE {table}\b[^;]*(SET NOT NULL|TYPE)", migration.sql), migration.name


SENTENCES_BEFORE_CODES = {
    "taken together with event 7 of the same subject": "taken_together",
    "caused by our own write-back": "own_echo",
    "superseded by event 5, which tells a newer state": "superseded",
    "not closed; TAIGA-T7 removed (2 h)": "not_closed",
    "closed before 2026-11-21": "closed_too_early",
    "deleted in Taiga": "deleted_in_taiga",
    "nothing is billed for type issue (billable_types in mappings.json)": "type_not_billed",
    "issue: this type is not in billable_types": "type_not_billed",
    "nothing is billed for events of type epic.create": "type_not_handled",
    "no hours yet": "no_hours",
    "below the minimum of 1 h": "below_minimum",
    "unforeseen KeyError: 'x'": "unforeseen",
    "gave up after 72 hours: invoiceninja: GET /x: no connection": "gave_up",
    "2 hours": "",
}


async def test_outcomes_of_before_get_their_codes(blank_database: str) -> None:
    """Sentences of the time before codes become the codes; what is under work, or has a code, is left alone."""
    await migrate(blank_database)
    connection = await asyncpg.connect(blank_database)
    add = (
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status, reason, outcome_code)"
        " VALUES ('taiga', 'task.change', gen_random_uuid()::text, 'taiga:task:1', now(), '{}', $1, $2, $3)"
    )
    for sentence in SENTENCES_BEFORE_CODES:
        await connection.execute(add, "ignored", sentence, "")
    await connection.execute(add, "discarded", "a person's words", "")
    await connection.execute(add, "retrying", "not closed", "")
    await connection.execute(add, "dead", "not closed", "bad_hours")
    await connection.execute("DELETE FROM migrations WHERE name = '0016_outcome_code_backfill'")
    await migrate(blank_database)
    found = await connection.fetch("SELECT reason, outcome_code FROM events ORDER BY id")
    await connection.close()
    assert [tuple(row) for row in found] == [
        *SENTENCES_BEFORE_CODES.items(),
        ("a person's words", "discarded"),
        ("not closed", ""),
        ("not closed", "bad_hours"),
    ]


async def test_work_goes_on_beside_an_index(blank_database: str) -> None:
    """While an index of events is built, waiting for somebody's long transaction, events are stored all the same."""
    await migrate(blank_database)
    reader, writer = await asyncpg.connect(blank_database), await asyncpg.connect(blank_database)
    long_read = reader.transaction(isolation="repeatable_read")
    await long_read.start()
    await reader.fetchval("SELECT count(*) FROM events")
    await writer.execute("DELETE FROM migrations WHERE name = '0012_events_indexes'")
    building = asyncio.create_task(migrate(blank_database))
    try:
        for number in range(20):
            await writer.execute(
                "INSERT INTO events (source, type, key, subject, occurred_at, body)"
                " VALUES ('taiga', 'task.change', $1, 's', now(), '')",
                str(number),
                timeout=2,
            )
            await asyncio.sleep(0.01)
        assert not building.done()
    finally:
        await long_read.rollback()
        assert await building == ["0012_events_indexes"]
        await reader.close()
        await writer.close()


async def test_locks_are_not_waited_for_long(blank_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that cannot get its table steps back and tries again, so that nobody queues behind it for long."""
    await migrate(blank_database)
    monkeypatch.setattr(schema_change, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(schema_change, "PAUSE", 0.05)
    column = database.Migration(9998, "9998_column", "ALTER TABLE events ADD COLUMN more text")
    more = [*migrations(), column]
    monkeypatch.setattr(database, "migrations", lambda: more)
    reader, writer = await asyncpg.connect(blank_database), await asyncpg.connect(blank_database)
    async with reader.transaction():
        await reader.fetchval("SELECT count(*) FROM events")
        changing = asyncio.create_task(migrate(blank_database))
        for _ in range(10):
            await writer.fetchval("SELECT count(*) FROM events", timeout=2)
            await asyncio.sleep(0.03)
        assert not changing.done()
    assert await changing == ["9998_column"]
    await reader.close()
    await writer.close()


def test_numbers_are_unique() -> None:
    """Two people who add a migration at the same time notice it here."""
    versions = [migration.version for migration in migrations()]
    assert len(set(versions)) == len(versions)
    assert versions == sorted(versions)
