"""A store that is full, and a stack that has worked for long: does speed or memory change?"""

import asyncio
from dataclasses import dataclass

import asyncpg

from middleware.lab.bench import load, measure, stack
from middleware.lab.bench.machine import usage
from middleware.lab.bench.measure import Acknowledged, Completed, task_ids
from middleware.lab.bench.stack import Ground
from middleware.store.database import migrate

SEED = """
INSERT INTO events (source, type, key, subject, occurred_at, received_at, body, headers, status, attempts,
    finished_at, reason)
SELECT 'taiga', 'task.change', 'seed-' || n, 'taiga:task:' || (1000000000 + n / 5), now() - n * interval '3 seconds',
    now() - n * interval '3 seconds', $2, '{}', CASE WHEN n % 4 = 0 THEN 'ignored' ELSE 'processed' END, 1,
    now() - n * interval '3 seconds', 'TAIGA-T1 created: 1.5 h at 75.00'
FROM generate_series(1, $1::int) AS n
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """Speed on an empty store and on one with many finished events."""

    events: int
    empty_accepted: Acknowledged
    full_accepted: Acknowledged
    empty_completed: Completed
    full_completed: Completed


@dataclass(frozen=True, slots=True)
class Soak:
    """Resident megabytes of receiver and worker after numbers of events."""

    events: int
    receiver_mb: float
    worker_mb: float


async def measure_scale(ground: Ground, events: int, requests: int = 6000, backlog: int = 3000) -> Scale:
    """Measure, fill the store with finished events, measure again."""
    stack.write_mapping(ground.folder)
    empty_accepted = await _accepted(ground, requests)
    empty_completed = await measure.completed(ground, 1, 0, backlog)
    await seed(ground, events)
    full_accepted = await _accepted(ground, requests)
    full_completed = await measure.completed(ground, 1, 0, backlog)
    return Scale(events, empty_accepted, full_accepted, empty_completed, full_completed)


async def _accepted(ground: Ground, requests: int) -> Acknowledged:
    async with stack.receiver(ground) as server:
        result = await measure.acknowledged(server, 32, requests)
    async with stack.stub(ground) as stub, stack.worker(ground, stub.port):
        await measure.until_done(ground)
    return result


async def seed(ground: Ground, events: int) -> None:
    """Store finished events, five for each subject, as a year of work leaves them."""
    await migrate(ground.database_url)
    connection = await asyncpg.connect(ground.database_url)
    try:
        await connection.execute(SEED, events, load.task_webhook(1)[:1000])
        await connection.execute("ANALYZE events")
    finally:
        await connection.close()


async def soak(ground: Ground, events: int, rounds: int = 4) -> list[Soak]:
    """Send events through the whole stack and note the memory after each part of them."""
    stack.write_mapping(ground.folder)
    noted = []
    async with stack.stub(ground) as stub, stack.receiver(ground) as server, stack.worker(ground, stub.port) as one:
        for number in range(1, rounds + 1):
            for _ in range(events // rounds // 5000):
                await load.saturate(server.port, 8, task_ids(5000))
                await measure.until_done(ground)
                await stack.arrivals(stub.port)
            await asyncio.sleep(1)
            total = number * (events // rounds)
            noted.append(Soak(total, usage(server.pid).rss_mb, usage(one.pid).rss_mb))
    return noted
