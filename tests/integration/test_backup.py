"""The whole state in a file and back: the same rows, ids that go on, and refusals before anything is touched."""

import asyncio
import json
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from handlers.ports.context import Link
from middleware.commands import backup as backup_command
from middleware.commands import restore as restore_command
from middleware.store.backup import LEFT_OUT, MANIFEST, BackupError, back_up, restore
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.database import migrate, open_pool
from middleware.store.encryption import use_keys
from middleware.store.events.events import EventStore
from tests.support.pipeline import new_event

QUERY = 'SELECT t::text FROM "{}" AS t ORDER BY 1'
BODY = '{"text": "tab\\there, line\\nend, \\\\. and Größe 🚀"}'.encode()
TIME_ENTRY = {
    "sent": {
        "description": "Task #1",
        "client_id": "acme",
        "project_id": "",
        "rate": "75",
        "raw_hours": "2",
        "hours": "2",
        "started_at": 1_800_000_000,
        "ended_at": 1_800_007_200,
    },
    "stored": {},
}


@pytest.fixture(autouse=True)
def no_keys_afterwards() -> Iterator[None]:
    """Other tests work in the open."""
    yield
    use_keys([])


@pytest.fixture
async def filled(fresh_database: str) -> str:
    """A database with events, a time entry (a trigger derives a row from it), a review and gaps in its ids."""
    async with open_pool(fresh_database, size=1) as pool:
        events = EventStore(pool)
        for number in range(5):
            await events.insert([new_event(f"taiga:task:{number}", body=BODY)])
        await pool.execute("DELETE FROM events WHERE id IN (2, 5)")
        await pool.execute(
            "INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome, calls)"
            " VALUES (1, 1, now(), 5, 'processed', '[{\"path\": \"/x\"}]')"
        )
        await LinkStore(pool).save(Link("taiga:task:1", "time_entry", "TAIGA-T1", "t1", TIME_ENTRY))
        await ReviewStore(pool).open("taiga:task:1", "credit_proposal", "a\tb\nc \\N", {"a": [1, None]})
        await pool.execute("INSERT INTO workers (id, version) VALUES ('w', '1')")
    return fresh_database


async def _content(url: str) -> dict[str, list[str]]:
    """Every row of every table as text."""
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        names = [row["name"] for row in rows if row["name"] not in LEFT_OUT]
        return {name: [row[0] for row in await connection.fetch(QUERY.format(name))] for name in names}
    finally:
        await connection.close()


async def test_round_trip(filled: str, blank_database: str, tmp_path: Path) -> None:
    """A new database holds the same rows, heartbeats apart; new events get new ids; triggers work as before."""
    file = tmp_path / "state.backup"
    written = await back_up(filled, file, "1.2.3")
    assert file.stat().st_mode & 0o777 == 0o600
    read = await restore(blank_database, file)
    assert read == written
    before = await _content(filled)
    assert await _content(blank_database) == before
    assert (len(before["events"]), len(before["recorded_time"])) == (3, 1)
    async with open_pool(blank_database, size=1) as pool:
        assert await pool.fetchval("SELECT count(*) FROM workers") == 0
        (stored,) = await EventStore(pool).insert([new_event("taiga:task:9")])
        assert stored.event_id == 6
        (known,) = await EventStore(pool).insert(
            [new_event("x", key=await pool.fetchval("SELECT min(key) FROM events"))]
        )
        assert known.is_duplicate
        link = Link("taiga:task:2", "time_entry", "TAIGA-T2", "t2", TIME_ENTRY)
        await LinkStore(pool).save(link)
        assert await pool.fetchval("SELECT count(*) FROM recorded_time") == 2


async def test_one_snapshot_while_everything_runs(filled: str, blank_database: str, tmp_path: Path) -> None:
    """Events that arrive during the backup are in it whole or not at all: no attempt without its event."""

    async def arrive() -> None:
        async with open_pool(filled, size=1) as pool:
            for number in range(100, 200):
                (stored,) = await EventStore(pool).insert([new_event(f"taiga:task:{number}")])
                await pool.execute(
                    "INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome)"
                    " VALUES ($1, 1, now(), 1, 'processed')",
                    stored.event_id,
                )

    arriving = asyncio.create_task(arrive())
    await back_up(filled, tmp_path / "file", "1")
    await arriving
    await restore(blank_database, tmp_path / "file")
    content = await _content(blank_database)
    assert len(content["attempts"]) <= len(content["events"])


async def test_an_empty_migrated_database_will_do(filled: str, blank_database: str, tmp_path: Path) -> None:
    """Of the same schema, as a first start leaves it."""
    await migrate(blank_database)
    await back_up(filled, tmp_path / "file", "1")
    await restore(blank_database, tmp_path / "file")
    assert await _content(blank_database) == await _content(filled)


async def test_a_filled_database_is_refused_unless_forced(filled: str, blank_database: str, tmp_path: Path) -> None:
    """What is there stays, with --force it is replaced."""
    await back_up(filled, tmp_path / "file", "1")
    await migrate(blank_database)
    async with open_pool(blank_database, size=1) as pool:
        await EventStore(pool).insert([new_event("taiga:task:77")])
    before = await _content(blank_database)
    with pytest.raises(BackupError, match="not empty: events has rows; --force"):
        await restore(blank_database, tmp_path / "file")
    assert await _content(blank_database) == before
    await restore(blank_database, tmp_path / "file", force=True)
    assert await _content(blank_database) == await _content(filled)


async def test_an_older_backup_is_brought_up_to_date(filled: str, blank_database: str, tmp_path: Path) -> None:
    """Restored into its own schema first, then migrated: no change of the schema is left out."""
    old, new = tmp_path / "old", tmp_path / "new"
    manifest = await back_up(filled, new, "1")
    gone = {"sealing_keys"}
    _rewrite(new, old, migrations=[version for version in manifest.migrations if version != 11], without=gone)
    await restore(blank_database, old)
    assert await _content(blank_database) == await _content(filled)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"migrations": [1, 999]}, "made by a newer version"),
        ({"format": 2}, "install a newer version"),
        ({"tables": None}, "no whole backup"),
        ({"migrations": []}, "no whole backup.*names no schema"),
        ({"migrations": ["x"]}, "no whole backup.*names no schema"),
    ],
)
async def test_files_that_do_not_fit(
    filled: str, blank_database: str, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    """Newer, of another format, or not whole: refused before the database is touched."""
    await back_up(filled, tmp_path / "file", "1")
    _rewrite(tmp_path / "file", tmp_path / "other", **changes)
    with pytest.raises(BackupError, match=told):
        await restore(blank_database, tmp_path / "other")
    assert await _content(blank_database) == {}


async def test_damaged_files(filled: str, blank_database: str, tmp_path: Path) -> None:
    """A row that was changed, or an end that is cut off, is found out before anything is restored."""
    await back_up(filled, tmp_path / "file", "1")
    _rewrite(tmp_path / "file", tmp_path / "changed", replaced={"events.copy": b"1\tx\n"})
    with pytest.raises(BackupError, match="damaged: events"):
        await restore(blank_database, tmp_path / "changed")
    (tmp_path / "cut").write_bytes((tmp_path / "file").read_bytes()[:-200])
    with pytest.raises(BackupError, match="no whole backup"):
        await restore(blank_database, tmp_path / "cut")
    assert await _content(blank_database) == {}


async def test_sealed_bodies_stay_sealed(filled: str, blank_database: str, tmp_path: Path) -> None:
    """The file holds no plain text of them, and the new database asks for the key."""
    use_keys([Fernet.generate_key().decode()])
    await migrate(filled)
    async with open_pool(filled, size=1) as pool:
        await EventStore(pool).insert([new_event("taiga:task:8", body=b'{"sealed": "customer"}')])
    await back_up(filled, tmp_path / "file", "1")
    with zipfile.ZipFile(tmp_path / "file") as archive:
        assert b"637573746f6d6572" not in archive.read("events.copy")
    await restore(blank_database, tmp_path / "file")
    async with open_pool(blank_database, size=1) as pool:
        assert (await EventStore(pool).body(6))[0] == b'{"sealed": "customer"}'


async def test_what_a_backup_lacks_or_has_too_much(filled: str, blank_database: str, tmp_path: Path) -> None:
    """A file without a table, or with other rows than it says, is refused, and nothing of it stays."""
    made = await back_up(filled, tmp_path / "file", "1")
    _rewrite(tmp_path / "file", tmp_path / "other", without={"users"})
    with pytest.raises(BackupError, match="lacks tables of its schema: users"):
        await restore(blank_database, tmp_path / "other")
    tables = {name: asdict(note) for name, note in made.tables.items()}
    tables["events"]["rows"] = 77
    _rewrite(tmp_path / "file", tmp_path / "fewer", tables=tables)
    with pytest.raises(BackupError, match="of events, and says 77"):
        await restore(blank_database, tmp_path / "fewer")
    tables["events"]["columns"] = 5
    _rewrite(tmp_path / "file", tmp_path / "none", tables=tables)
    with pytest.raises(BackupError, match="names no columns"):
        await restore(blank_database, tmp_path / "none")
    async with open_pool(blank_database, size=1) as pool:
        assert await pool.fetchval("SELECT count(*) FROM events") == 0


async def test_a_backup_of_somebody_else(filled: str, blank_database: str, tmp_path: Path) -> None:
    """Where there are keys, a file with a right digest but no proof, or with a changed manifest, is refused."""
    await back_up(filled, tmp_path / "plain", "1")
    use_keys([Fernet.generate_key().decode()])
    await back_up(filled, tmp_path / "file", "1")
    _rewrite(tmp_path / "file", tmp_path / "changed", program="another")
    for name in ("plain", "changed"):
        with pytest.raises(BackupError, match="not made with these ENCRYPTION_KEYS"):
            await restore(blank_database, tmp_path / name)
    await restore(blank_database, tmp_path / "changed", is_trusted=True)
    await restore(blank_database, tmp_path / "file", force=True)
    use_keys([])


class TestCommands:
    """As people run them."""

    @pytest.fixture(autouse=True)
    def environment(self, filled: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The settings, as variables."""
        for name, value in {"DATABASE_URL": filled, "REDIS_URL": redis_url, "TAIGA_WEBHOOK_SECRETS": "k"}.items():
            monkeypatch.setenv(name, value)

    async def test_both(self, blank_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Written, not overwritten, read back; refusals end with 1 and say what to do."""
        file = str(tmp_path / "state")
        written = await _run(backup_command.command, file)
        assert (written.exit_code, "rows of" in written.output) == (0, True)
        again = await _run(backup_command.command, file)
        assert (again.exit_code, "exists; name a new file" in again.output) == (1, True)
        refused = await _run(restore_command.command, file)
        assert (refused.exit_code, "--force" in refused.output) == (1, True)
        monkeypatch.setenv("DATABASE_URL", blank_database)
        done = await _run(restore_command.command, file, "--json")
        assert (done.exit_code, json.loads(done.output)["rows"] > 5) == (0, True)

    async def test_through_pipes(self, blank_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """`-` is the standard output and input: how a backup leaves a container, and comes back."""
        written = await asyncio.to_thread(CliRunner().invoke, backup_command.command, ["-"])
        assert (written.exit_code, written.stdout_bytes[:2]) == (0, b"PK")
        monkeypatch.setenv("DATABASE_URL", blank_database)
        restored = ["-", "--json"]
        done = await asyncio.to_thread(CliRunner().invoke, restore_command.command, restored, written.stdout_bytes)
        assert (done.exit_code, json.loads(done.output)["rows"] > 5) == (0, True)


async def _run(command: Any, *arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments))


def _rewrite(
    source: Path,
    target: Path,
    *,
    without: Collection[str] = (),
    replaced: dict[str, bytes] | None = None,
    **changes: Any,
) -> None:
    """A copy of a backup with another manifest, without some tables, or with other rows."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        manifest = json.loads(archive.read(MANIFEST)) | changes
        for name in without:
            del manifest["tables"][name]
            manifest["sequences"].pop(name, None)
        for name in archive.namelist():
            if name != MANIFEST and name.removesuffix(".copy") not in without:
                copy.writestr(name, (replaced or {}).get(name, archive.read(name)))
        copy.writestr(MANIFEST, json.dumps(manifest))
