"""PostgreSQL and Redis go away and come back under a running worker: nothing is lost, nothing is done twice."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx
import pytest
import redis.asyncio

from middleware.embedded import PostgresServer, RedisServer
from middleware.settings import Settings
from middleware.store.database import STORE_ERRORS, migrate
from tests.support.in_process_stack import (
    ARQ_CLOSES_AS_OF_OLD,
    Ninja,
    Task,
    deliver,
    invoice_ninja,
    receiver,
    stack_settings,
    worker,
)
from tests.support.pipeline import until

pytestmark = pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)


@dataclass(frozen=True)
class Servers:
    """Servers of this module's own: they are killed."""

    postgres: PostgresServer
    redis: RedisServer


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """A PostgreSQL and a Redis that tests may kill."""
    with (
        TemporaryDirectory(prefix="taiga-billing-test-") as folder,
        PostgresServer(Path(folder), durable=False) as postgres,
        RedisServer(Path(folder)) as redis_server,
    ):
        yield Servers(postgres, redis_server)


@dataclass(frozen=True)
class Stack:
    """Everything but receiver and worker."""

    settings: Settings
    ninja: Ninja
    servers: Servers

    async def processed(self) -> int:
        """How many events are processed; -1 while nobody knows."""
        try:
            connection = await asyncpg.connect(self.servers.postgres.url, timeout=2)
        except STORE_ERRORS:
            return -1
        try:
            return int(await connection.fetchval("SELECT count(*) FROM events WHERE status = 'processed'"))
        finally:
            await connection.close()

    async def all_processed(self, count: int) -> None:
        """Wait until this many events are processed."""
        await until(lambda: self._has(count), seconds=30)

    async def _has(self, count: int) -> bool:
        return await self.processed() == count


@pytest.fixture
async def stack(servers: Servers, tmp_path: Path) -> AsyncIterator[Stack]:
    """An empty store in servers that may be killed."""
    await migrate(servers.postgres.url)
    connection = await asyncpg.connect(servers.postgres.url)
    await connection.execute("TRUNCATE events, attempts, links RESTART IDENTITY")
    await connection.close()
    async with invoice_ninja() as ninja:
        yield Stack(stack_settings(servers.postgres.url, servers.redis.url, ninja, tmp_path), ninja, servers)


def numbers(stack: Stack) -> list[str]:
    """The numbers of the live entries."""
    return [entry.number for entry in stack.ninja.entries]


async def delivered_in_the_end(client: httpx.AsyncClient, bodies: list[bytes]) -> None:
    """Send every body until it is acknowledged, as a chaos sender does."""
    for body in bodies:
        await until(partial(_is_acknowledged, client, body))


async def _is_acknowledged(client: httpx.AsyncClient, body: bytes) -> bool:
    return await deliver(client, [body]) != [503]


async def test_postgresql_killed_under_work(stack: Stack) -> None:
    """PostgreSQL is killed while requests are under way, and comes back: each task has one entry in the end."""
    stack.ninja.faults.add(method="POST", path="/tasks$", action="delay", seconds=0.3, times=None)
    bodies = [Task(number).webhook() for number in range(1, 9)]
    async with receiver(stack.settings) as client, worker(stack.settings):
        await delivered_in_the_end(client, bodies[:4])
        await until(lambda: _asked(stack))
        stack.servers.postgres.kill()
        assert await deliver(client, [bodies[4]]) == [503]
        stack.servers.postgres.start()
        await delivered_in_the_end(client, bodies[4:])
        await stack.all_processed(8)
    assert numbers(stack) == [f"TAIGA-T{number}" for number in range(1, 9)]
    assert len(stack.ninja.app.state.ninja.tables["tasks"]) == 8


async def _asked(stack: Stack) -> bool:
    return stack.ninja.faults.count("GET") > 0


async def test_postgresql_restarted_in_peace(stack: Stack) -> None:
    """A worker that has nothing to do survives a restart of PostgreSQL and works on."""
    async with receiver(stack.settings) as client, worker(stack.settings) as running:
        await delivered_in_the_end(client, [Task(1).webhook()])
        await stack.all_processed(1)
        stack.servers.postgres.restart()
        await delivered_in_the_end(client, [Task(2).webhook()])
        await stack.all_processed(2)
        assert not running.done()


async def test_redis_killed_and_wiped(stack: Stack) -> None:
    """Redis loses everything: events are accepted and processed all the same, and wake-ups work again afterwards."""
    async with receiver(stack.settings) as client, worker(stack.settings) as running:
        await delivered_in_the_end(client, [Task(1).webhook()])
        await stack.all_processed(1)
        stack.servers.redis.kill()
        assert await deliver(client, [Task(2).webhook()]) == [202]
        await stack.all_processed(2)
        stack.servers.redis.wipe()
        stack.servers.redis.start()
        await until(lambda: _is_listened_to(stack))
        assert await deliver(client, [Task(3).webhook()]) == [202]
        await stack.all_processed(3)
        assert not running.done()
    assert numbers(stack) == ["TAIGA-T1", "TAIGA-T2", "TAIGA-T3"]


async def _is_listened_to(stack: Stack) -> bool:
    async with redis.asyncio.Redis.from_url(stack.servers.redis.url) as client:
        return any(count for _, count in await client.pubsub_numsub("taiga-billing:wake"))


async def test_no_redis_at_all(stack: Stack) -> None:
    """A worker starts, works and stops without any Redis."""
    settings = stack.settings.model_copy(update={"redis_url": type(stack.settings.redis_url)("redis://127.0.0.1:1/0")})
    async with receiver(settings) as client, worker(settings):
        await delivered_in_the_end(client, [Task(1).webhook()])
        await stack.all_processed(1)


async def test_two_workers(stack: Stack) -> None:
    """Two workers share the work; a task's burst of webhooks makes one entry."""
    async with receiver(stack.settings) as client, worker(stack.settings), worker(stack.settings):
        tasks = [Task(number) for number in range(1, 6)]
        await delivered_in_the_end(client, [task.webhook(hours=hours) for hours in (1, 2, 3) for task in tasks])
        await until(lambda: _settled(stack))
    assert {entry.number: entry.hours for entry in stack.ninja.entries} == {f"TAIGA-T{n}": 3 for n in range(1, 6)}
    assert len(stack.ninja.entries) == 5


async def _settled(stack: Stack) -> bool:
    connection = await asyncpg.connect(stack.servers.postgres.url)
    try:
        waiting = "SELECT count(*) FROM events WHERE status IN ('received', 'processing', 'retrying')"
        return not await connection.fetchval(waiting)
    finally:
        await connection.close()


async def test_two_workers_with_one_health_port(stack: Stack, unused_tcp_port: int) -> None:
    """A second worker on the machine works although the port of its health is taken; the first one answers there."""
    settings = stack.settings.model_copy(update={"worker_port": unused_tcp_port})
    async with worker(settings) as one, worker(settings) as other:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{unused_tcp_port}") as client:
            await until(lambda: _answers(client))
            ready = (await client.get("/readyz")).json()
        assert ready["checks"]["postgresql"]["status"] == "ok"
        assert not one.done()
        assert not other.done()


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False
