"""The embedded servers: start, share, survive crashes, leave nothing behind."""

import asyncio
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
import redis.asyncio
from arq.connections import RedisSettings, create_pool

from middleware.embedded import EmbeddedServerError, PostgresServer, RedisServer, embedded_servers
from middleware.embedded.orphans import processes_in

OWNER = """
import sys
from pathlib import Path
from middleware.embedded import embedded_servers

with embedded_servers(Path(sys.argv[1]), postgres=True, redis=True, durable=False) as endpoints:
    print(endpoints.database_url, endpoints.redis_url, flush=True)
    sys.stdin.read()
"""
ROOT = Path(__file__).parents[2]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs setpriv and /proc")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder with a short path; root's is entered by root alone, as a clone in its home is."""
    with TemporaryDirectory(prefix="tb-") as folder:
        yield (Path(folder) / "data").resolve()


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL, which each test leaves running."""
    with TemporaryDirectory(prefix="tb-") as folder, PostgresServer(Path(folder), durable=False) as server:
        yield server


@pytest.fixture
def cache(data_dir: Path) -> Iterator[RedisServer]:
    """A running Redis of one test."""
    with RedisServer(data_dir) as server:
        yield server


async def ask(url: str, *statements: str) -> object:
    """Run statements and return the value of the last."""
    connection = await asyncpg.connect(url)
    try:
        value = None
        for statement in statements:
            value = await connection.fetchval(statement)
        return value
    finally:
        await connection.close()


async def count_up(url: str) -> int:
    """Add one to a counter in Redis and return it."""
    async with redis.asyncio.Redis.from_url(url) as client:
        return int(await client.incr("n"))


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds; a minute is for machines that are busy."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        await asyncio.sleep(0.02)


def own_in_other_process(data_dir: Path) -> tuple[subprocess.Popen[str], list[str]]:
    """Start another Python process that owns both servers; returns it and their addresses."""
    owner = subprocess.Popen(  # noqa: S603 - this file's own program
        [sys.executable, "-c", OWNER, str(data_dir)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    return owner, owner.stdout.readline().split()


def close(owner: subprocess.Popen[str], *, kill: bool) -> None:
    """End the other process, by SIGKILL or by closing its input."""
    if kill:
        owner.kill()
    owner.communicate()


class TestPostgres:
    """The embedded PostgreSQL."""

    async def test_is_durable_and_speaks_utf8_in_utc_by_default(self, data_dir: Path) -> None:
        """A cluster without switches keeps what it has acknowledged, stores any text and counts time in UTC."""
        with PostgresServer(data_dir) as server:
            for setting, expected in (
                ("fsync", "on"),
                ("synchronous_commit", "on"),
                ("server_encoding", "UTF8"),
                ("timezone", "UTC"),
            ):
                assert await ask(server.url, f"SHOW {setting}") == expected

    async def test_keeps_its_data_over_crash_and_restart(self, postgres: PostgresServer) -> None:
        """Rows written before SIGKILL, and before an orderly stop, are there afterwards at the same address."""
        url = postgres.url
        await ask(url, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")
        postgres.kill()
        postgres.start()
        await ask(url, "INSERT INTO kept VALUES (2)")
        postgres.restart()
        assert await ask(url, "SELECT sum(n) FROM kept") == 3

    async def test_starts_after_its_process_id_went_to_another_program(self, postgres: PostgresServer) -> None:
        """A pid file that names a living stranger does not lock the data for ever."""
        postgres.kill()
        pid_file = postgres.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        postgres.start()
        assert await ask(postgres.url, "SELECT 1") == 1

    async def test_an_interrupted_first_start_is_begun_again(self, data_dir: Path) -> None:
        """What initdb left behind when it was killed is thrown away."""
        unfinished = data_dir / "postgres" / "data.unfinished"
        unfinished.mkdir(parents=True)
        (unfinished / "PG_VERSION").write_text("18\n")
        with PostgresServer(data_dir, durable=False) as server:
            assert await ask(server.url, "SELECT 1") == 1

    async def test_refuses_other_users_of_the_machine(self, postgres: PostgresServer) -> None:
        """Only the system user that started the server is let in, and only as the one role."""
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await ask(postgres.url.replace("taiga_billing@", "postgres@"), "SELECT 1")

    async def test_ignores_postgres_variables_of_the_environment(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A PGPORT meant for another server does not move ours."""
        monkeypatch.setenv("PGPORT", "6543")
        monkeypatch.setenv("PGDATA", "/nowhere")
        monkeypatch.setenv("PGSSLMODE", "verify-full")
        monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
        with PostgresServer(data_dir, durable=False) as server:
            assert await ask(server.url, "SHOW port") == "5432"

    def test_a_failed_start_shows_what_the_server_said(self, postgres: PostgresServer) -> None:
        """The message has PostgreSQL's own words and the place of the whole log, and the lock is free again."""
        postgres.stop()
        version = postgres.data / "PG_VERSION"
        version.write_text("9.6\n")
        with pytest.raises(EmbeddedServerError, match=r"9\.6.*server\.log"):
            postgres.start()
        version.write_text("18\n")
        postgres.start()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by PostgreSQL")
    async def test_root_runs_it_as_somebody_else_in_a_closed_folder(self, postgres: PostgresServer) -> None:
        """PostgreSQL serves root from a folder that only root may enter, without being root."""
        assert postgres.home.parent.stat().st_mode & 0o077 == 0
        assert postgres.data.stat().st_uid != 0
        assert await ask(postgres.url, "SELECT 1") == 1


class TestRedis:
    """The embedded Redis."""

    async def test_redis_py_and_arq_accept_its_address(self, cache: RedisServer) -> None:
        """Both libraries read the URL with the Unix socket."""
        async with redis.asyncio.Redis.from_url(cache.url) as client:
            await client.set("greeting", "hello")
        pool = await create_pool(RedisSettings.from_dsn(cache.url))
        assert await pool.get("greeting") == b"hello"
        await pool.aclose()

    async def test_its_folder_is_closed(self, data_dir: Path) -> None:
        """Nobody else of the machine reads the log of statements that failed."""
        with RedisServer(data_dir / "new"):
            modes = {path: path.stat().st_mode & 0o777 for path in (data_dir / "new", data_dir / "new" / "redis")}
        assert set(modes.values()) == {0o700}

    async def test_revives_what_has_ended(self, cache: RedisServer) -> None:
        """A server that was killed by somebody else is started again at its address; one that lives is left alone."""
        await count_up(cache.url)
        assert cache.revive() == ""
        assert cache._process is not None
        os.kill(cache._process.pid, signal.SIGKILL)
        cache._process.wait(30)
        assert "Redis had ended" in cache.revive()
        assert await count_up(cache.url) == 2

    async def test_keeps_its_data_over_crash_and_restart(self, cache: RedisServer) -> None:
        """The append-only file brings back what was written before SIGKILL and before a stop."""
        await count_up(cache.url)
        cache.kill()
        cache.start()
        await count_up(cache.url)
        cache.restart()
        assert await count_up(cache.url) == 3

    async def test_wipe_loses_everything(self, cache: RedisServer) -> None:
        """Running or dead, a wiped Redis comes back empty."""
        await count_up(cache.url)
        cache.wipe()
        assert await count_up(cache.url) == 1
        cache.kill()
        cache.wipe()
        cache.start()
        assert await count_up(cache.url) == 1


class TestSharing:
    """Several processes on one folder, and what happens when they die."""

    async def test_a_second_process_uses_the_running_servers_and_leaves_them_running(self, data_dir: Path) -> None:
        """`events list` beside `up`: same addresses, and the servers are still there when it has ended."""
        owner, addresses = own_in_other_process(data_dir)
        try:
            with embedded_servers(data_dir, postgres=True, redis=True) as endpoints:
                assert [endpoints.database_url, endpoints.redis_url] == addresses
            assert await ask(addresses[0], "SELECT 1") == 1
        finally:
            close(owner, kill=False)
        assert processes_in(data_dir / "postgres" / "data") == []

    def test_only_the_first_owns_the_server(self, postgres: PostgresServer) -> None:
        """Stopping the one that joined changes nothing for the one that owns it."""
        second = PostgresServer(postgres.home.parent)
        second.start()
        assert (postgres.owned, second.owned) == (True, False)
        second.stop()
        assert processes_in(postgres.data) != []

    @linux
    async def test_servers_end_with_a_killed_owner(self, data_dir: Path) -> None:
        """SIGKILL of the owner leaves no server behind, and the next start has the data."""
        owner, addresses = own_in_other_process(data_dir)
        await ask(addresses[0], "CREATE TABLE kept AS SELECT 42 AS n")
        close(owner, kill=True)
        await eventually(
            lambda: not processes_in(data_dir / "postgres" / "data") + processes_in(data_dir / "redis" / "data")
        )
        with embedded_servers(data_dir, postgres=True, redis=True) as endpoints:
            assert endpoints.database_url is not None
            assert await ask(endpoints.database_url, "SELECT n FROM kept") == 42

    @linux
    async def test_starts_after_everything_was_killed_at_once(self, data_dir: Path) -> None:
        """After SIGKILL of owner and servers together, stale pid and state files do no harm."""
        owner, addresses = own_in_other_process(data_dir)
        await ask(addresses[0], "CREATE TABLE kept AS SELECT 42 AS n")
        owner.send_signal(signal.SIGSTOP)
        for pid in processes_in(data_dir / "postgres" / "data") + processes_in(data_dir / "redis" / "data"):
            os.kill(pid, signal.SIGKILL)
        close(owner, kill=True)
        with embedded_servers(data_dir, postgres=True, redis=True) as endpoints:
            assert endpoints.database_url is not None
            assert await ask(endpoints.database_url, "SELECT n FROM kept") == 42

    async def test_a_server_started_in_a_passing_thread_goes_on(self, data_dir: Path) -> None:
        """The end of the thread that started a server is not the end of its process."""
        server = RedisServer(data_dir)
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        try:
            async with redis.asyncio.Redis.from_url(server.url) as client:
                assert await client.ping()
        finally:
            server.stop()


class TestPlaces:
    """Folders and programs."""

    @pytest.mark.parametrize("folder", ["a" * 90, "with space, ünïcode & 100%"])
    async def test_any_path_works(self, data_dir: Path, folder: str) -> None:
        """Paths too long for a socket or in need of quoting get a short socket folder, which is removed again."""
        with embedded_servers(data_dir / folder, postgres=True, redis=True) as endpoints:
            assert endpoints.database_url is not None
            assert endpoints.redis_url is not None
            assert await ask(endpoints.database_url, "SELECT 1") == 1
            sockets = Path(endpoints.redis_url.removeprefix("unix://").partition("?")[0]).parent
            pool = await create_pool(RedisSettings.from_dsn(endpoints.redis_url))
            await pool.aclose()
        assert not sockets.exists()

    @pytest.mark.parametrize(("server", "variable"), [(PostgresServer, "DATABASE_URL"), (RedisServer, "REDIS_URL")])
    def test_missing_programs_are_explained(
        self,
        server: type[PostgresServer | RedisServer],
        variable: str,
        data_dir: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Without the extra and without a server on PATH, the message names both ways out."""
        monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
        monkeypatch.setenv("PATH", str(data_dir))
        with pytest.raises(EmbeddedServerError, match=rf"taiga-billing\[embedded\].*{variable}"):
            server(data_dir).start()

    def test_a_folder_that_cannot_be_used_is_named(self, data_dir: Path) -> None:
        """A file where the folder should be ends in a message that names it and DATA_DIR."""
        data_dir.write_text("not a folder")
        with pytest.raises(EmbeddedServerError, match=r"postgres.*Set DATA_DIR"):
            PostgresServer(data_dir).start()
