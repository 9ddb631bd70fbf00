"""Fixtures for everybody: real PostgreSQL and Redis, and the rule that tests only talk to this machine.

The servers are the embedded ones, started once for the session and only when a test asks; with `DATABASE_URL` or
`REDIS_URL` set, those are used instead. Databases are made for the session and dropped after it; the Redis database
named by `REDIS_URL` is emptied by tests that use `fresh_redis`.

Under pytest-xdist each process is a session: it has servers and folders of its own.
"""

import importlib.util
import ipaddress
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
import redis.asyncio
from hypothesis import settings as hypothesis_settings

from middleware.embedded import embedded_servers
from middleware.store.database import migrate
from tests.support.databases import copied_database, folder_in_memory, name_of

# A shared machine is slow now and then: that is no failure. In CI the same examples are tried at every run.
hypothesis_settings.register_profile("local", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "local")

# httpx looks for this at every request without a socket: a module that is known to be missing is not searched for.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # the import system's own way of saying so

MOST_PROCESSES = 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """`-n auto`: a process for each processor; but only this one for tests that are picked, and on one given Redis.

    Picked tests are few: they are over before another process has started. Tests empty a Redis that is given.
    """
    picks = bool(config.option.keyword) or any(Path(name.partition("::")[0]).is_file() for name in config.args)
    if picks or os.environ.get("REDIS_URL"):
        return 0
    return min(MOST_PROCESSES, os.cpu_count() or 1)


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
        TemporaryDirectory(prefix="taiga-billing-test-", dir=folder_in_memory()) as folder,
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
        TemporaryDirectory(prefix="taiga-billing-test-", dir=folder_in_memory()) as folder,
        embedded_servers(Path(folder), postgres=False, redis=True) as endpoints,
    ):
        assert endpoints.redis_url is not None
        yield endpoints.redis_url


@pytest.fixture(scope="session")
async def migrated_template(postgres_server_url: str) -> AsyncIterator[str]:
    """Name of a database with the present schema and no rows. Nobody connects to it: it is only copied."""
    async with copied_database(postgres_server_url) as url:
        await migrate(url)
        yield name_of(url)


@pytest.fixture(scope="session")
async def database_url(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Address of a migrated database that all tests of the session share."""
    async with copied_database(postgres_server_url, migrated_template) as url:
        yield url


@pytest.fixture
async def fresh_database(postgres_server_url: str, migrated_template: str) -> AsyncIterator[str]:
    """Address of a migrated database without rows, for one test."""
    async with copied_database(postgres_server_url, migrated_template) as url:
        yield url


@pytest.fixture
async def blank_database(postgres_server_url: str) -> AsyncIterator[str]:
    """Address of a database without any table, for one test."""
    async with copied_database(postgres_server_url) as url:
        yield url


@pytest.fixture
async def fresh_redis(redis_url: str) -> str:
    """Address of the session's Redis, emptied before the test."""
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        await client.flushdb()
    return redis_url
