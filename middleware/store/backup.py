"""The whole state in one file, and back: a zip of COPY texts with a manifest, readable without this program.

Taken in one snapshot while everything runs. Sealed bodies stay sealed. What belongs to running processes (heartbeats,
sessions) is left out.
"""

import asyncio
import hashlib
import json
import os
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import IO, Any

import asyncpg

from middleware.store.database import connect, migrate, migrate_to, migrations
from middleware.store.encryption import edge_in_use, sealed

FORMAT = 1
MANIFEST = "manifest.json"
PROOF = "manifest.sealed"
"""The manifest once more, sealed with ENCRYPTION_KEYS: it holds the digest of every table."""

LEFT_OUT = ("migrations", "workers", "sessions", "sign_in_failures")
CHUNK = 1024 * 1024

TABLES = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attgenerated = ''
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
GROUP BY c.relname ORDER BY c.relname
"""
REFERENCES = """
SELECT conrelid::regclass::text AS child, confrelid::regclass::text AS parent FROM pg_constraint
WHERE contype = 'f' AND connamespace = current_schema()::regnamespace AND conrelid <> confrelid
"""
IDENTITIES = """
SELECT c.relname AS name, a.attname AS column, pg_get_serial_sequence(quote_ident(c.relname), a.attname) AS sequence
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> ''
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
"""


class BackupError(Exception):
    """The file cannot be used, or the database may not be overwritten; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TableNote:
    """One table in the file."""

    columns: list[str]
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in the file."""

    made_at: str
    program: str
    server: str
    migrations: list[int]
    tables: dict[str, TableNote]
    sequences: dict[str, int]
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(table.rows for table in self.tables.values())


async def back_up(url: str, file: Path, program: str) -> Manifest:
    """Write the state into a new file, whole or not at all; only its owner may read it.

    Raises:
        BackupError: the file exists.
    """
    connection = await connect(url)
    try:
        with _new_file(file) as archive:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                manifest = await _write_all(connection, archive, program)
            text = json.dumps(asdict(manifest), indent=1).encode()
            archive.writestr(MANIFEST, text)
            if edge_in_use() is not None:
                archive.writestr(PROOF, sealed(text))
    finally:
        await connection.close()
    return manifest


@contextmanager
def _new_file(file: Path) -> Iterator[zipfile.ZipFile]:
    if file.exists():
        raise BackupError(f"{file} exists; name a new file")
    unfinished = file.with_name(f".{file.name}.unfinished")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
                yield archive
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.rename(file)
    finally:
        unfinished.unlink(missing_ok=True)


async def _write_all(connection: asyncpg.Connection, archive: zipfile.ZipFile, program: str) -> Manifest:
    tables = {}
    for row in await connection.fetch(TABLES):
        name, columns = row["name"], list(row["columns"])
        if name in LEFT_OUT:
            continue
        tables[name] = await _write_table(connection, archive, name, columns)
    sequences = {
        row["name"]: await connection.fetchval(f"SELECT last_value FROM {row['sequence']}")
        for row in await connection.fetch(IDENTITIES)
        if row["name"] in tables
    }
    present = [row["version"] for row in await connection.fetch("SELECT version FROM migrations ORDER BY version")]
    server = await connection.fetchval("SHOW server_version")
    return Manifest(datetime.now(UTC).isoformat(), program, server, present, tables, sequences)


async def _write_table(
    connection: asyncpg.Connection, archive: zipfile.ZipFile, name: str, columns: list[str]
) -> TableNote:
    digest = hashlib.sha256()
    with archive.open(f"{name}.copy", "w", force_zip64=True) as member:

        async def write(data: bytes) -> None:
            digest.update(data)
            member.write(data)

        status = await connection.copy_from_table(name, output=write, columns=columns)
    return TableNote(columns, int(status.rpartition(" ")[2]), digest.hexdigest())


async def restore(url: str, file: Path, *, force: bool = False, is_trusted: bool = False) -> Manifest:
    """Read the state of a file into a database, a new one or an empty one of its schema; then bring it up to date.

    With `force` what is in the database is replaced. All rows arrive in one transaction. Where there are
    `ENCRYPTION_KEYS` the file must have been made with one of them, unless it `is_trusted`.

    Raises:
        BackupError: the file is damaged, not ours, or newer than this program, or the database is not empty.
    """
    manifest = await asyncio.to_thread(_checked, file, is_trusted=is_trusted)
    await migrate_to(url, manifest.migrations)
    connection = await connect(url)
    try:
        present = {row["version"] for row in await connection.fetch("SELECT version FROM migrations")}
        if present != set(manifest.migrations):
            raise BackupError(
                f"the database has schema {max(present)}, the backup has {max(manifest.migrations)}: restore into a new"
                " database (the schema is brought up to date afterwards)"
            )
        if not force and (filled := await _first_filled(connection)):
            raise BackupError(f"the database is not empty: {filled} has rows; --force replaces everything in it")
        with zipfile.ZipFile(file) as archive:
            async with connection.transaction():
                await _read_all(connection, archive, manifest)
    finally:
        await connection.close()
    await migrate(url)
    return manifest


def _checked(file: Path, *, is_trusted: bool) -> Manifest:
    """The manifest of a file whose every part is as it was written."""
    try:
        with zipfile.ZipFile(file) as archive:
            text = archive.read(MANIFEST)
            manifest = _manifest(json.loads(text))
            if not is_trusted:
                _check_proof(file, archive, text)
            for name, note in manifest.tables.items():
                with archive.open(f"{name}.copy") as member:
                    if _digest(member) != note.sha256:
                        raise BackupError(f"{file} is damaged: {name} is not what was written; take another backup")
    except (OSError, KeyError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise BackupError(f"{file} is no whole backup of taiga-billing: {error}") from error
    unknown = set(manifest.migrations) - {migration.version for migration in migrations()}
    if unknown:
        raise BackupError(
            f"{file} was made by a newer version ({manifest.program}, schema {max(unknown)}): install that version"
        )
    return manifest


def _check_proof(file: Path, archive: zipfile.ZipFile, text: bytes) -> None:
    edge = edge_in_use()
    if edge is not None and (PROOF not in archive.namelist() or edge.open(archive.read(PROOF)) != text):
        raise BackupError(
            f"{file} was not made with these ENCRYPTION_KEYS, or somebody changed it: look at what it holds; "
            "--trust restores it anyway"
        )


def _digest(member: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := member.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _manifest(content: Mapping[str, Any]) -> Manifest:
    if content["format"] != FORMAT:
        raise BackupError(
            f"the file has format {content['format']}, this program reads {FORMAT}: install a newer version"
        )
    tables = {name: TableNote(**note) for name, note in content["tables"].items()}
    versions = content["migrations"]
    if not versions or not all(isinstance(version, int) for version in versions):
        raise ValueError("it names no schema")
    if not all(
        isinstance(columns, list) and columns for columns in (note["columns"] for note in content["tables"].values())
    ):
        raise ValueError("it names no columns")
    return Manifest(**{**content, "tables": tables})


async def _first_filled(connection: asyncpg.Connection) -> str:
    for table in ("events", "links", "payments", "reviews", "users"):
        if await connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table})"):
            return table
    return ""


async def _read_all(connection: asyncpg.Connection, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    known = [row["name"] for row in await connection.fetch(TABLES)]
    if strange := manifest.tables.keys() - set(known):
        raise BackupError(f"the file has tables that its schema has not: {', '.join(sorted(strange))}")
    if missing := set(known) - manifest.tables.keys() - set(LEFT_OUT):
        raise BackupError(f"the file lacks tables of its schema: {', '.join(sorted(missing))}; take another backup")
    names = await _parents_first(connection, manifest.tables)
    await connection.execute(f"TRUNCATE {', '.join(name for name in known if name != 'migrations')}")
    for name in names:
        # What triggers would derive is in the file, too.
        await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER USER")
        with archive.open(f"{name}.copy") as member:
            note = manifest.tables[name]
            status = await connection.copy_to_table(name, source=_chunks(member), columns=note.columns)
        if int(status.rpartition(" ")[2]) != note.rows:
            raise BackupError(f"the file has {status.rpartition(' ')[2]} rows of {name}, and says {note.rows}")
        await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER USER")
    for row in await connection.fetch(IDENTITIES):
        if row["name"] in manifest.sequences:
            await connection.execute(
                "SELECT setval($1::regclass, $2)", row["sequence"], manifest.sequences[row["name"]]
            )


async def _chunks(member: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(member.read, CHUNK):
        yield chunk


async def _parents_first(connection: asyncpg.Connection, names: Mapping[str, TableNote]) -> Sequence[str]:
    graph: dict[str, set[str]] = {name: set() for name in names}
    for row in await connection.fetch(REFERENCES):
        if row["child"] in graph and row["parent"] in graph:
            graph[row["child"]].add(row["parent"])
    return list(TopologicalSorter(graph).static_order())
