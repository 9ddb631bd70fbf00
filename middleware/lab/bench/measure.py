"""The measurements, one function each."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median

import asyncpg

from mappings.time.entry import entry_number
from middleware.lab.bench import load, stack
from middleware.lab.bench.machine import cpu_seconds, spent, usage
from middleware.lab.bench.stack import Ground, Part

# Read from the partial indexes: a look at all events would take the time that is measured.
UNFINISHED = (
    "SELECT (SELECT count(*) FROM events WHERE status IN ('received', 'retrying'))"
    " + (SELECT count(*) FROM events WHERE status = 'processing')"
)

_task_ids = count(1)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """How fast webhooks were accepted at a number of connections; times in milliseconds."""

    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    receiver_us: float


@dataclass(frozen=True, slots=True)
class Completed:
    """How fast a backlog was worked off by a number of workers; requests to Invoice Ninja for each event."""

    workers: int
    delay_ms: float
    per_second: float
    worker_us: float
    requests_per_event: float


@dataclass(frozen=True, slots=True)
class Latency:
    """From sending the webhook to its request at Invoice Ninja, in milliseconds, at a rate of webhooks a second."""

    per_second: float
    p50_ms: float
    p99_ms: float
    ack_p50_ms: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident megabytes after some work, and the share of one core that an idle stack takes (percent)."""

    receiver_mb: float
    worker_mb: float
    idle_percent: float


def task_ids(number: int) -> list[int]:
    """Ids that were never used before."""
    return [next(_task_ids) for _ in range(number)]


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def acknowledged(server: Part, connections: int, requests: int) -> Acknowledged:
    """Saturate a receiver (or a floor) over keep-alive connections."""
    await load.saturate(server.port, connections, task_ids(connections * 20))
    before = usage(server.pid).cpu_seconds
    answers, seconds = await load.saturate(server.port, connections, task_ids(requests))
    if answers.refused:
        raise RuntimeError(f"{len(answers.refused)} webhooks were refused, first with {answers.refused[0]!r}")
    cost = usage(server.pid).cpu_seconds - before
    return Acknowledged(
        connections,
        requests / seconds,
        median(answers.seconds) * 1000,
        percentile(answers.seconds, 0.99) * 1000,
        max(answers.seconds) * 1000,
        cost / requests * 1e6,
    )


async def completed(ground: Ground, workers: int, delay_ms: float, events: int) -> Completed:
    """Store a backlog without a worker, then start the workers and count what they complete each second."""
    async with AsyncExitStack() as parts:
        server = await parts.enter_async_context(stack.receiver(ground))
        await load.saturate(server.port, 32, task_ids(events))
        stub = await parts.enter_async_context(stack.stub(ground, delay_ms))
        pool = await parts.enter_async_context(asyncpg.create_pool(ground.database_url, min_size=1, max_size=2))
        running = [await parts.enter_async_context(stack.worker(ground, stub.port)) for _ in range(workers)]
        waiting = await _until_below(pool, round(events * 0.9))
        before = [usage(one.pid).cpu_seconds for one in running]
        started = time.monotonic()
        left = await _until_below(pool, round(events * 0.1))
        seconds = time.monotonic() - started
        cost = sum(usage(one.pid).cpu_seconds for one in running) - sum(before)
        await _until_below(pool, 1)
        _times, requests = await stack.arrivals(stub.port)
        done = waiting - left
        return Completed(workers, delay_ms, done / seconds, cost / done * 1e6, requests / events)


async def until_done(ground: Ground) -> None:
    """Wait until every stored event has ended."""
    async with asyncpg.create_pool(ground.database_url, min_size=1, max_size=1) as pool:
        await _until_below(pool, 1)


async def _until_below(pool: asyncpg.Pool, limit: int) -> int:
    while True:
        waiting = int(await pool.fetchval(UNFINISHED))
        if waiting < limit:
            return waiting
        await asyncio.sleep(0.02)


@asynccontextmanager
async def whole_stack(ground: Ground) -> AsyncIterator[tuple[Part, Part, Part]]:
    """Stub, receiver and one worker, warmed up."""
    async with stack.stub(ground) as stub, stack.receiver(ground) as server, stack.worker(ground, stub.port) as one:
        await load.at_rate(server.port, 20, task_ids(20))
        await _until_arrived(stub.port, 20)
        yield stub, server, one


async def latency(stub: Part, server: Part, per_second: float, events: int) -> Latency:
    """Send webhooks at an even rate and see when each one's request reaches Invoice Ninja."""
    await stack.arrivals(stub.port)
    ids = task_ids(events)
    answers = await load.at_rate(server.port, per_second, ids)
    times = await _until_arrived(stub.port, events)
    late = [(times[entry_number("task", one)] - answers.sent_at[one]) * 1000 for one in ids]
    return Latency(per_second, median(late), percentile(late, 0.99), median(answers.seconds) * 1000)


async def _until_arrived(stub_port: int, number: int) -> dict[str, float]:
    times: dict[str, float] = {}
    deadline = time.monotonic() + 30
    while len(times) < number:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(times)} of {number} entries reached Invoice Ninja within 30 s")
        await asyncio.sleep(0.1)
        more, _requests = await stack.arrivals(stub_port)
        times.update(more)
    return times


async def memory(server: Part, one: Part, servers: Sequence[int], idle_seconds: float) -> Memory:
    """Resident memory now, and what the whole stack costs while nothing happens; `servers` are more process ids.

    One of the servers' processes may end meanwhile and is left out.

    Raises:
        FileNotFoundError: the receiver or the worker has ended.
    """
    pids = [server.pid, one.pid, *servers]
    before = cpu_seconds(pids)
    await asyncio.sleep(idle_seconds)
    share = spent(before, cpu_seconds(pids)) / idle_seconds * 100
    return Memory(usage(server.pid).rss_mb, usage(one.pid).rss_mb, share)
