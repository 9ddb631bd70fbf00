"""Databases that tests make and drop, quick enough for one of each test's own."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

# Our own server copies files, which spares it a note of every page in its journal. Servers before 15 lack the word.
_STRATEGY = "" if os.environ.get("DATABASE_URL") else "STRATEGY FILE_COPY"
_MEMORY = Path("/dev/shm")  # noqa: S108 - only a new folder in it is used, with a name of its own
_ROOM = 2 * 1024**3


def folder_in_memory() -> str | None:
    """The file system in memory if it has room, else None: a database is made there in a tenth of the time."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    return str(_MEMORY) if has_room else None


@asynccontextmanager
async def copied_database(server_url: str, template: str = "template0") -> AsyncIterator[str]:
    """The address of a copy of a database to which nobody is connected; dropped in the end, whoever uses it."""
    name = f"taiga_billing_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {_STRATEGY}')
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


def name_of(database_url: str) -> str:
    """The name of the database in an address."""
    return urlsplit(database_url).path.removeprefix("/")
