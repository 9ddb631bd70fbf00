"""An outage of a remote system, with real workers on a real store and a clock that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from handlers.errors import ServerError, Suspended, Throttled
from handlers.event import Work
from handlers.outcome import Outcome, Processed
from mappings.codes import Code
from middleware.clients.connect import connect_invoice_ninja
from middleware.clients.http.calls import acting_for
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.pipeline.processor import Limits, Processor
from middleware.sources.table import sources_by_system
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.circuits import LONGEST_PAUSE, CircuitStore
from middleware.store.operations.workers import WorkerStore
from middleware.traffic.gate import TrafficLimits
from middleware.traffic.traffic import Traffic
from middleware.web.health import check_remotes
from tests.support.pipeline import new_event, statuses, until

LIMITS = Limits(concurrency=8, attempt_timeout=5, sweep_seconds=0.02, keep_trying=timedelta(hours=72))
NEEDS = sources_by_system(["invoiceninja"])


class Ninja:
    """Invoice Ninja as these tests need it: it answers, or everything is 502; counts what it is asked."""

    def __init__(self) -> None:
        self.is_away = False
        self.requests = 0
        self.running = self.most = 0
        self.order: list[str] = []
        self.poison: set[str] = set()

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.002)
        self.running -= 1
        number = request.url.path.rpartition("/")[2]
        if self.is_away or number in self.poison:
            return httpx.Response(502, json={"message": "Bad Gateway"})
        self.order.append(number)
        return httpx.Response(200, json={"data": {"id": number, "number": number, "client_id": "c", "time_log": "[]"}})


class World:
    """Workers that ask Ninja once for each work, on one store, with one clock."""

    def __init__(self, url: str, pool: asyncpg.Pool) -> None:
        self.url = url
        self.pool = pool
        self.store = EventStore(pool)
        self.ninja = Ninja()
        self.ahead = timedelta()
        self.rate = TrafficLimits(100, 0)

    def clock(self) -> datetime:
        """The moment as the workers believe it."""
        return datetime.now(UTC) + self.ahead

    def traffic(self) -> Traffic:
        """The ways of one worker."""
        return Traffic(CircuitStore(self.pool), {"invoiceninja": self.rate}, NEEDS, self.clock)

    @asynccontextmanager
    async def client(self, traffic: Traffic) -> AsyncIterator[InvoiceNinja]:
        """A client whose requests keep to these ways."""
        client = connect_invoice_ninja("https://ninja.example", "tok", httpx.MockTransport(self.ninja.answer))
        client.through(traffic.admit("invoiceninja"))
        try:
            yield client
        finally:
            await client.aclose()

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Processor]:
        """A worker at work."""
        traffic = self.traffic()
        async with self.client(traffic) as client:

            async def dispatch(work: Work) -> Outcome:
                await client.task(work.subject.rpartition(":")[2])
                return Processed(Code.TIME_RECORDED, "asked")

            processor = Processor(self.url, dispatch, _observe, LIMITS, paused_sources=traffic.paused_sources)
            task = asyncio.create_task(processor.run())
            try:
                yield processor
            finally:
                await processor.stop(grace=5)
                await task

    async def put(self, *numbers: int) -> None:
        """Store an event of each of these tasks, oldest first."""
        for number in numbers:
            await self.store.insert([new_event(f"taiga:task:{number}")])

    async def opened(self) -> None:
        """Wait until the circuit is open."""

        async def is_open() -> bool:
            circuit = (await CircuitStore(self.pool).all()).get("invoiceninja")
            return circuit is not None and circuit.is_open

        await until(is_open)

    async def asked_more_than(self, requests: int) -> None:
        """Wait until Invoice Ninja was asked once more, in vain."""

        async def is_asked() -> bool:
            circuit = (await CircuitStore(self.pool).all())["invoiceninja"]
            return self.ninja.requests > requests and not self.ninja.running and not circuit.probe_is_due(self.clock())

        await until(is_asked)
        await asyncio.sleep(0.05)

    async def done(self, count: int) -> None:
        """Wait until this many events are processed."""

        async def is_done() -> bool:
            return (await statuses(self.pool)).get("processed") == count

        await until(is_done)


async def _observe(_system: str, _state: str, _message: str) -> None:
    """These tests look at the circuit itself."""


@pytest.fixture
async def world(clean_database: str) -> AsyncIterator[World]:
    """A world with an empty store."""
    async with open_pool(clean_database, size=8) as pool:
        yield World(clean_database, pool)


async def test_hours_of_outage(world: World) -> None:
    """Two workers, 60 subjects, Invoice Ninja away for three hours: few requests, no event given up, all done after."""
    world.ninja.is_away = True
    await world.put(*range(60))
    async with world.worker(), world.worker():
        await world.opened()
        await asyncio.sleep(0.3)
        before = world.ninja.requests
        for _ in range(10):
            world.ahead += timedelta(minutes=20)
            await _due_now(world)
            await world.asked_more_than(world.ninja.requests)
        await asyncio.sleep(0.3)
        # One request for each time that somebody might try, however many events and workers there are.
        assert world.ninja.requests - before <= 12
        assert "dead" not in await statuses(world.pool)
        most_tries = await world.pool.fetchval("SELECT max(attempts) FROM events")
        assert most_tries <= 12
        world.ninja.is_away = False
        world.ahead += timedelta(seconds=LONGEST_PAUSE)
        await _due_now(world)
        await world.done(60)


async def _is(condition: bool) -> bool:
    return condition


async def _due_now(world: World) -> None:
    """What failed before the circuit opened waits some seconds by the clock of PostgreSQL: not in a test."""
    await world.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")


async def test_waiting_costs_nothing(world: World) -> None:
    """What arrives while Invoice Ninja is away is not even claimed, and readiness says since when and how many."""
    world.ninja.is_away = True
    await world.put(*range(20))
    async with world.worker():
        await world.opened()
        await asyncio.sleep(0.1)
        await world.put(*range(100, 130))
        await asyncio.sleep(0.2)
        fresh = await world.pool.fetch("SELECT attempts FROM events WHERE subject LIKE 'taiga:task:1__'")
        assert [row["attempts"] for row in fresh] == [0] * 30
        (check,) = await check_remotes(world.pool, WorkerStore(world.pool))
        assert check.state == "degraded"
        assert "away since" in check.message
        assert "50 events wait" in check.message


async def test_recovery_is_bounded_and_oldest_first(world: World) -> None:
    """When it is back, events are settled in the order in which they came, at the pace that is set."""
    world.rate = TrafficLimits(3, 0)
    world.ninja.is_away = True
    await world.put(900, 901)
    async with world.worker():
        await world.opened()
        await world.put(*range(100, 140))
        world.ninja.is_away = False
        world.ninja.most = 0
        world.ahead += timedelta(seconds=LONGEST_PAUSE)
        await _due_now(world)
        await world.done(42)
    assert world.ninja.most <= 3
    arrived = [int(number) for number in world.ninja.order if int(number) < 900]
    # Eight are in hand at a time, so neighbours may overtake each other, but nobody more.
    assert all(abs(place - (number - 100)) <= 8 for place, number in enumerate(arrived))


async def test_one_poisoned_subject_stops_nobody(world: World) -> None:
    """A task on which Invoice Ninja always fails is retried automatically; the others are settled meanwhile."""
    world.ninja.poison = {"7"}
    await world.put(7)
    async with world.worker():
        for number in range(20, 26):
            await world.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")
            await world.put(number)
            await asyncio.sleep(0.02)
        await world.done(6)
        circuit = (await CircuitStore(world.pool).all()).get("invoiceninja")
    assert circuit is None or not circuit.is_open


async def test_too_many_requests_halts_the_way(world: World) -> None:
    """After a 429 the next requests are not sent before the wait is over: the server is not asked in vain."""
    traffic = world.traffic()
    passage = traffic.admit("invoiceninja")
    with pytest.raises(Throttled):
        async with passage("GET /a"):
            raise Throttled("invoiceninja", "GET /a", "too many", retry_after=50, status=429)
    with pytest.raises(Suspended) as suspended:
        async with passage("GET /b"):
            pytest.fail("it was sent")
    assert 40 < suspended.value.delay <= 45
    assert await traffic.paused_sources() is None


class Asking:
    """Three requests of one worker in the moment in which it is time to try: one is sent, the others wait."""

    def __init__(self, traffic: Traffic) -> None:
        self.sent: list[str] = []
        self.answer = asyncio.Event()
        self.at_the_end: Callable[[], None] = lambda: None
        self._passage = traffic.admit("invoiceninja")
        self.tasks = [asyncio.create_task(self._ask(name)) for name in ("a", "b", "c")]

    async def _ask(self, name: str) -> None:
        async with self._passage(name):
            self.sent.append(name)
            await self.answer.wait()
        self.at_the_end()


@pytest.fixture
async def asking(world: World) -> Asking:
    """They ask, and the first one waits for its answer."""
    traffic = world.traffic()
    await _fail(traffic, 6)
    world.ahead += timedelta(seconds=5)
    asking = Asking(traffic)
    await until(lambda: _is(bool(asking.sent)))
    await asyncio.sleep(0.05)
    assert asking.sent == ["a"]
    return asking


async def test_requests_wait_for_the_one_who_tries(asking: Asking) -> None:
    """When it is time, one request tries; others of the same worker wait for its end and go on."""
    asking.answer.set()
    await asyncio.gather(*asking.tasks)
    assert asking.sent == ["a", "b", "c"]


async def test_who_is_stopped_while_waiting_sends_nothing(asking: Asking) -> None:
    """A try that lost its lock in the moment in which the one who tries comes to its end does not go on."""

    def lose_the_locks() -> None:
        for task in asking.tasks[1:]:
            task.cancel()

    asking.at_the_end = lose_the_locks
    asking.answer.set()
    results = await asyncio.gather(*asking.tasks, return_exceptions=True)
    assert asking.sent == ["a"]
    assert [type(result) for result in results[1:]] == [asyncio.CancelledError] * 2


async def test_without_postgresql_each_worker_goes_by_itself(world: World) -> None:
    """The store away as well: the circuit still opens for this worker, and closes when the system answers."""
    traffic = world.traffic()
    async with open_pool("postgresql://nobody@127.0.0.1:9/none", size=1) as closed:
        traffic.circuits.store = CircuitStore(closed)
        await _fail(traffic, 6)
        assert traffic.circuits.circuit("invoiceninja").is_open
        with pytest.raises(Suspended):
            async with traffic.admit("invoiceninja")("GET /b"):
                pytest.fail("it was sent")
        world.ahead += timedelta(seconds=5)
        async with traffic.admit("invoiceninja")("GET /c"):
            pass
        assert not traffic.circuits.circuit("invoiceninja").is_open


async def _fail(traffic: Traffic, times: int) -> None:
    async def one(number: int) -> None:
        acting_for.set(f"taiga:task:{number}")
        with suppress(ServerError, Suspended):
            async with traffic.admit("invoiceninja")("GET /a"):
                raise ServerError("invoiceninja", "GET /a", "away", status=502)

    for number in range(times):
        await asyncio.create_task(one(number))
