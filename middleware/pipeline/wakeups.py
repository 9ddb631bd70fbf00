"""Redis as a hint: waking the workers. The only module that enqueues.

Each wake-up is an arq job, which waits for a worker that has room, and a message to those that listen now, so that arq
need not poll often. A lost wake-up costs a few seconds and nothing else: the workers look for due rows by themselves
(`sweep_seconds`).
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.client import PubSub

from middleware.metrics import WAKEUPS_LOST

log = structlog.get_logger()

QUEUE_NAME = "taiga-billing:events"
JOB_NAME = "process_events"
WAKE_CHANNEL = "taiga-billing:wake"
IDS_PER_JOB = 1000
# A single event is announced at once; under load, when workers are busy anyway, many share a wake-up.
SECONDS_AFTER_FEW, SECONDS_AFTER_MANY, MANY = 0.002, 0.05, 8
# Beyond this many unsent ids more hints are worth nothing: the sweep finds the rows.
MAX_UNSENT = 20_000
# A connection that says nothing for so long is asked whether it still lives; after twice as long it is given up.
SILENT_SECONDS = 15.0
REDIS_ERRORS = (Exception,)
"""Whatever its client raises means that Redis cannot be reached: a reset may surface as a RuntimeError or TypeError."""


def in_words(error: Exception) -> str:
    """What a failure of the client says, with its kind: many say nothing."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def encode_job(job: object) -> bytes:
    """Serialize an arq job as JSON: anyone can read it, and nothing in it can run."""
    return json.dumps(job, default=repr).encode()


def decode_job(data: bytes) -> dict[str, Any]:
    """Read what `encode_job` wrote."""
    job: dict[str, Any] = json.loads(data)
    return job


def open_queue(url: str) -> ArqRedis:
    """A client of the queue; it connects with the first command."""
    pool: ConnectionPool = ConnectionPool.from_url(url, socket_connect_timeout=2, socket_timeout=5, max_connections=10)
    queue = ArqRedis(pool, job_serializer=encode_job, job_deserializer=decode_job, default_queue_name=QUEUE_NAME)
    queue.auto_close_connection_pool = True
    return queue


class Wakeups:
    """Tells the workers which events are due, off the path of the acknowledgement and many at a time."""

    def __init__(self, queue: ArqRedis) -> None:
        self._queue = queue
        self._unsent: list[int] = []
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def notify(self, event_ids: Sequence[int]) -> None:
        """Remember to wake a worker for these events; returns at once."""
        if len(self._unsent) < MAX_UNSENT:
            self._unsent.extend(event_ids)
            self._wanted.set()

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._send_for_ever(), name="wakeups")

    async def stop(self) -> None:
        """Send what is left, if Redis takes it, and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._unsent:
            await self._send()
        with suppress(*REDIS_ERRORS):
            await self._queue.aclose()

    async def _send_for_ever(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            pause = SECONDS_AFTER_MANY if len(self._unsent) >= MANY else SECONDS_AFTER_FEW
            await asyncio.sleep(pause if await self._send() else 1)

    async def _send(self) -> bool:
        while self._unsent:
            ids, self._unsent = self._unsent[:IDS_PER_JOB], self._unsent[IDS_PER_JOB:]
            try:
                await self._queue.enqueue_job(JOB_NAME, ids)
                await self._queue.publish(WAKE_CHANNEL, len(ids))
            except REDIS_ERRORS as error:
                WAKEUPS_LOST.inc(len(ids))
                log.warning("queue.unreachable", error=in_words(error), hint="events are stored; the sweep finds them")
                return False
        return True


async def listen(url: str, wake: Callable[[], None]) -> None:
    """Call `wake` whenever events became due, until cancelled; while Redis is away, wait for it."""
    while True:
        client = Redis.from_url(url, socket_connect_timeout=2)
        try:
            async with client.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(WAKE_CHANNEL)
                await _hear(channel, wake)
        except REDIS_ERRORS as error:
            log.debug("queue.unreachable", error=in_words(error))
        finally:
            with suppress(*REDIS_ERRORS):
                await client.aclose()
        await asyncio.sleep(1)


async def _hear(channel: PubSub, wake: Callable[[], None]) -> None:
    """Call `wake` for each message, as long as the connection lives.

    Raises:
        TimeoutError: it neither brings anything nor answers; a server or network that vanished ends no connection.
    """
    is_asked = False
    while True:
        message = await channel.get_message(timeout=SILENT_SECONDS)
        if message is not None:
            is_asked = False
            if message["type"] == "message":
                wake()
        elif is_asked:
            raise TimeoutError("Redis has stopped answering")
        else:
            is_asked = True
            await channel.ping()
