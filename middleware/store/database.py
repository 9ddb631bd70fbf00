"""The connection pool and the numbered, forward-only migrations."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

import asyncpg

from middleware.store.encryption import check_keys, open_on_arrival
from middleware.store.migration import apply, take_turn
from middleware.store.text import storable_json

Pool = asyncpg.Pool
"""A pool of connections; nobody outside the store needs to know whose."""

MIGRATION_LOCK = 0x7461_6967_6101
# A machine that vanishes without closing its connections must not hold subject locks for hours.
SERVER_SETTINGS = {
    "application_name": "taiga-billing",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}
# What a server or database may have been set to, and what our promises do not survive: a commit that is acknowledged
# before it is on disk; transactions that fail where ours wait for each other; locks that
# are lost while their holder waits for another system.
OWN_SETTINGS = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
SELECT set_config('default_transaction_isolation', 'read committed', false);
SELECT set_config('idle_session_timeout', '0', false) WHERE current_setting('idle_session_timeout', true) IS NOT NULL;
"""
ENCODINGS = ("UTF8", "SQL_ASCII")
IS_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'"
# InternalClientError: what asyncpg says of a connection that ended while it was being used.
STORE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
OUR_MISTAKES = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.SyntaxOrAccessError,
    asyncpg.ProgramLimitExceededError,  # what no index holds, for instance
    ValueError,  # what asyncpg says of arguments that it cannot encode
)


class StoreUnavailableError(Exception):
    """PostgreSQL did not take or give the data; nothing was acknowledged."""


@contextmanager
def away_is_unavailable() -> Iterator[None]:
    """Inside, PostgreSQL being away is a `StoreUnavailableError`; a mistake of ours in SQL or data stays what it is."""
    try:
        yield
    except OUR_MISTAKES:
        raise
    except STORE_ERRORS as error:
        raise StoreUnavailableError(f"PostgreSQL: {type(error).__name__}: {error}") from error


class UnsuitableDatabaseError(Exception):
    """The database cannot be used, whatever is in it."""


class NewerSchemaError(Exception):
    """The database was migrated by a newer version of this program."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered SQL file of `middleware/store/migrations`."""

    version: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """All migrations in order."""
    folder = resources.files("middleware.store") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [
        Migration(int(file.name.split("_")[0]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in files
    ]


async def connect(url: str, **options: Any) -> asyncpg.Connection:
    """Open one connection that reads and writes jsonb as Python values."""
    connection: asyncpg.Connection = await asyncpg.connect(url, server_settings=SERVER_SETTINGS, timeout=10, **options)
    try:
        await _prepare(connection)
    except BaseException:
        connection.terminate()
        raise
    connection.add_query_logger(_when_read_only(connection.terminate))
    return connection


def _when_read_only(act: Callable[[], object]) -> Callable[[Any], None]:
    """Looks at every query: a server that became read-only (a failover, a disk guard) stays so for its old sessions."""

    def look(query: Any) -> None:
        if isinstance(query.exception, asyncpg.ReadOnlySQLTransactionError):
            act()

    return look


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.execute(OWN_SETTINGS)
    await connection.set_type_codec("jsonb", encoder=as_json, decoder=json.loads, schema="pg_catalog")
    await open_on_arrival(connection)


def as_json(value: Any) -> str:
    """A value as the text of a jsonb."""
    return json.dumps(storable_json(value))


async def migrate(url: str) -> list[str]:
    """Apply the migrations that are missing, under an advisory lock; returns their names.

    Each runs in a transaction with its version row (see `schema_change`). Two programs that start together do not race.

    Raises:
        NewerSchemaError: the database is ahead of this program.
        UnsuitableDatabaseError: it cannot hold every text.
        MissingKeyError: stored bodies are sealed with keys that are not configured.
    """
    connection = await connect(url)
    try:
        await _check_encoding(connection)
        await take_turn(connection, MIGRATION_LOCK)
        applied = await _apply_missing(connection)
        await check_keys(connection)
        return applied
    finally:
        await connection.close()


async def _check_encoding(connection: asyncpg.Connection) -> None:
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding not in ENCODINGS:
        raise UnsuitableDatabaseError(
            f"the database is encoded in {encoding}, which cannot hold every text: "
            "make a new one with ENCODING 'UTF8' (and TEMPLATE template0), and name it in DATABASE_URL"
        )


async def migrate_to(url: str, versions: Collection[int]) -> None:
    """Give a database without any table exactly these migrations; one that has some is left as it is."""
    connection = await connect(url)
    try:
        await take_turn(connection, MIGRATION_LOCK)
        if not await connection.fetchval("SELECT to_regclass('migrations') IS NOT NULL"):
            await _apply_missing(connection, versions)
    finally:
        await connection.close()


async def _apply_missing(connection: asyncpg.Connection, wanted: Collection[int] | None = None) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    present = {row["version"] for row in await connection.fetch("SELECT version FROM migrations")}
    known = migrations()
    if present - {migration.version for migration in known}:
        raise NewerSchemaError(
            f"the database has migration {max(present)}, this program knows up to {known[-1].version}: "
            "install the newer version again, or restore the backup made before the upgrade"
        )
    applied = []
    for migration in known:
        if migration.version not in present and (wanted is None or migration.version in wanted):
            await apply(connection, migration.version, migration.name, migration.sql)
            applied.append(migration.name)
    return applied


async def _end_transaction(connection: asyncpg.Connection) -> None:
    """What a connection needs before its next use: no session is changed in use, and a full reset would cost more."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


@asynccontextmanager
async def open_pool(url: str, *, size: int) -> AsyncIterator[asyncpg.Pool]:
    """A pool of at most `size` connections; it opens the first one when it is needed and heals by itself."""
    expiring: set[asyncio.Task[None]] = set()

    def expire() -> None:
        task = asyncio.get_running_loop().create_task(pool.expire_connections())
        expiring.add(task)
        task.add_done_callback(expiring.discard)

    async def prepare(connection: asyncpg.Connection) -> None:
        await _prepare(connection)
        connection.add_query_logger(_when_read_only(expire))

    pool = asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        init=prepare,
        reset=_end_transaction,
        server_settings=SERVER_SETTINGS,
        timeout=5,
        command_timeout=30,
        max_inactive_connection_lifetime=300,
    )
    async with pool:
        try:
            yield pool
        finally:
            # A query that hangs on a dead server must not hold up the shutdown.
            try:
                await asyncio.wait_for(pool.close(), timeout=5)
            except TimeoutError:
                pool.terminate()


async def ping(pool: asyncpg.Pool) -> None:
    """Ask the database within 2 seconds whether it takes writes; sessions that do not are replaced by new ones.

    Raises:
        StoreUnavailableError: there was no answer, or it takes none.
    """
    try:
        if await pool.fetchval(IS_READ_ONLY, timeout=2):
            await pool.expire_connections()
            if await pool.fetchval(IS_READ_ONLY, timeout=2):
                raise StoreUnavailableError("PostgreSQL is read-only: it is a standby, or was set so")
    except STORE_ERRORS as error:
        raise StoreUnavailableError(f"PostgreSQL does not answer: {type(error).__name__}: {error}") from error
