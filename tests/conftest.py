"""Fixtures for everybody: real PostgreSQL and Redis, and the rule that tests only talk to this machine.

The servers are the embedded ones, started once for the session and only when a test asks; with `DATABASE_URL` or
`REDIS_URL` set, those are used instead. Databases are made for the session and dropped after it; the Redis database
named by `REDIS_URL` is emptied by tests that use `fresh_redis`.
"""

import ipaddress
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import redis.asyncio
from hypothesis import settings as hypothesis_settings

from middleware.embedded import embedded_servers
from middleware.store.database import migrate

# A shared machine is slow now and then: that is no failure. In CI the same examples are tried at every run.
hypothesis_settings.register_profile("local", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "local")

_SERVERS_GIVEN_BY_PEOPLE = ("DATABASE_URL", "REDIS_URL", "TAIGA_API", "INVOICE_NINJA_API", "STRIPE_API_BASE")
_given_hosts = {urlsplit(os.environ.get(name, "")).hostname for name in _SERVERS_GIVEN_BY_PEOPLE}
_allowed_hosts = _given_hosts - {None, "localhost", "127.0.0.1", "::1"}


def _refuse_other_machines(event: str, args: tuple[object, ...]) -> None:
    """Audit hook: no test opens a connection to another machine, unless the environment names it."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event == "socket.connect" and isinstance(args[1], tuple) and not _allowed_hosts:
        host = args[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else host
    if isinstance(name, str) and name not in _allowed_hosts and not _is_loopback(name):
        raise PermissionError(f"A test wants to reach {name}: tests only talk to this machine.")


def _is_loopback(host: str) -> bool:
    if host in {"", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


sys.addaudithook(_refuse_other_machines)


@pytest.fixture(scope="session")
def postgres_server_url() -> Iterator[str]:
    """Address of a PostgreSQL in which databases may be made; tests use `database_url` or `fresh_database`."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with (
        TemporaryDirectory(prefix="taiga-billing-test-") as folder,
        embedded_servers(Path(folder), postgres=True, redis=False, durable=False) as endpoints,
    ):
        assert endpoints.database_url is not None
        yield endpoints.database_url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Address of a Redis for the whole session; ask for `fresh_redis` to find it empty."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with (
        TemporaryDirectory(prefix="taiga-billing-test-") as folder,
        embedded_servers(Path(folder), postgres=False, redis=True) as endpoints,
    ):
        assert endpoints.redis_url is not None
        yield endpoints.redis_url


@pytest.fixture(scope="session")
async def migrated_template(postgres_server_url: str) -> AsyncIterator[str]:
    """Name of a database with the present schema and no rows. Nobody connects to it: it is only copied."""
    async with _database(postgres_server_url) as name:
        await migrate(_address_of(postgres_server_url, name))
        yield name


@pytest.fixture(scope="session")
async def database_url(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Address of a migrated database that all tests of the session share."""
    async with _database(postgres_server_url, template=migrated_template) as name:
        yield _address_of(postgres_server_url, name)


@pytest.fixture
async def fresh_database(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Address of a migrated database without rows, for one test."""
    async with _database(postgres_server_url, template=migrated_template) as name:
        yield _address_of(postgres_server_url, name)


@pytest.fixture
async def blank_database(postgres_server_url: str) -> AsyncIterator[str]:
    """Address of a database without any table, for one test."""
    async with _database(postgres_server_url) as name:
        yield _address_of(postgres_server_url, name)


@pytest.fixture
async def fresh_redis(redis_url: str) -> str:
    """Address of the session's Redis, emptied before the test."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushdb()
    return redis_url


@asynccontextmanager
async def _database(server_url: str, template: str = "template0") -> AsyncIterator[str]:
    """Make a throw-away database and drop it in the end, whoever is still connected."""
    name = f"taiga_billing_test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield name
    finally:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


def _address_of(server_url: str, database: str) -> str:
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))
