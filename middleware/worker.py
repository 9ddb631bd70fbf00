"""The worker process: arq brings wake-ups, the processor does the work, jobs run when they are due.

Redis going away stops arq's worker; it is started again with a back-off, and meanwhile the processor finds due events
by its own sweep.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from arq import func
from arq.worker import Worker
from starlette.applications import Starlette

from handlers.event import Work
from handlers.outcome import Outcome
from handlers.ports.context import Context
from handlers.registry import dispatch
from middleware.alerts.watcher import run_alerts
from middleware.bootstrap import RemoteObserver, context_of, open_systems, open_traffic
from middleware.intake.ingest import Ingest
from middleware.jobs.rechecks import run_rechecks
from middleware.jobs.table import run_all_jobs
from middleware.mapping.watch import WatchedMapping
from middleware.pipeline.processor import Limits, Processor
from middleware.pipeline.wakeups import (
    JOB_NAME,
    QUEUE_NAME,
    REDIS_ERRORS,
    decode_job,
    encode_job,
    in_words,
    listen,
    open_queue,
)
from middleware.process import on_hangup, stop_on_signals
from middleware.settings import Settings
from middleware.store.clock import StoreClock
from middleware.store.database import STORE_ERRORS, Pool, open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.workers import WorkerStore
from middleware.traffic.traffic import Traffic
from middleware.version import VERSION
from middleware.web.health import Health
from middleware.web.server import serve_beside

log = structlog.get_logger()

HEARTBEAT_SECONDS = 10
LONGEST_RESTART_DELAY = 15
# A connection to Redis that lasted this many seconds was a good one: the next restart is quick again.
HEALTHY_AFTER = 60
POOL_SIZE = 10


async def process_events(ctx: dict[str, Any], _event_ids: list[int]) -> None:
    """The arq job: events are due. The ids are a hint only; what is due is read from PostgreSQL."""
    processor: Processor = ctx["processor"]
    processor.wake()
    await processor.room()


async def run_worker(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Work until SIGTERM or SIGINT (or `stop`), then finish or hand back what is in hand.

    Raises:
        SettingsError: settings or the mapping file are missing.
        MappingErrors: the mapping file has mistakes.
    """
    stop = stop or stop_on_signals()
    mapping = WatchedMapping(settings.mappings_file)
    on_hangup(mapping.look_now)
    url = settings.database_url.get_secret_value()
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(url, size=POOL_SIZE))
        traffic = open_traffic(settings, pool)
        clock = StoreClock(pool)
        await clock.try_to_read()
        systems = await stack.enter_async_context(open_systems(settings, traffic))
        context = await stack.enter_async_context(context_of(systems, settings, mapping.current(), pool, clock))
        workers = WorkerStore(pool)
        processor = _processor(settings, live_context(context, mapping), RemoteObserver(workers), traffic)
        local = Ingest(EventStore(pool), lambda _ids: processor.wake())
        async with _background(
            processor.run(),
            _run_arq(settings, processor),
            listen(settings.redis_url.get_secret_value(), processor.wake),
            _beat(workers, clock),
            _serve_health(settings, pool),
            run_all_jobs(settings, systems, pool, live_context(context, mapping), traffic),
            mapping.run(pool),
            run_alerts(settings, pool, mapping.problem),
            run_rechecks(pool, settings.second_look_minutes, local),
        ):
            log.info("worker.started", version=VERSION, concurrency=settings.worker_concurrency)
            await stop.wait()
            log.info("worker.stopping", grace_s=settings.shutdown_seconds)
            await processor.stop(settings.shutdown_seconds)
    log.info("worker.stopped")


def live_context(context: Context, mapping: WatchedMapping) -> Callable[[], Context]:
    """What an attempt gets: the same clients, and the mapping as it is at its beginning."""
    return lambda: replace(context, mapping=mapping.current())


def _processor(
    settings: Settings, context: Callable[[], Context], observer: RemoteObserver, traffic: Traffic
) -> Processor:
    async def settle(work: Work) -> Outcome:
        return await dispatch(work, context())

    limits = Limits(
        concurrency=settings.worker_concurrency,
        attempt_timeout=settings.attempt_timeout,
        sweep_seconds=settings.sweep_seconds,
        keep_trying=timedelta(hours=settings.retry_hours),
    )
    url = settings.database_url.get_secret_value()
    return Processor(url, settle, observer, limits, paused_sources=traffic.paused_sources)


@contextlib.asynccontextmanager
async def _background(*parts: Any) -> AsyncIterator[None]:
    """Run the parts beside the block; a part that fails ends the block with its error."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part) for part in parts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _run_arq(settings: Settings, processor: Processor) -> None:
    delay = 1
    while True:
        started = time.monotonic()
        # Ours, because a pool that arq makes itself stays open when it is cancelled while it connects.
        pool = open_queue(settings.redis_url.get_secret_value())
        worker = Worker(
            functions=[func(process_events, name=JOB_NAME, max_tries=1_000_000)],
            queue_name=QUEUE_NAME,
            redis_pool=pool,
            job_serializer=encode_job,
            job_deserializer=decode_job,
            keep_result=0,
            # Few at a time: a worker that is busy leaves wake-ups to the others.
            max_jobs=2,
            handle_signals=False,
            log_results=False,
            ctx={"processor": processor},
        )
        try:
            await _insistently(worker.async_run())
        except REDIS_ERRORS as error:
            log.warning(
                "queue.unreachable", error=in_words(error), retry_in_s=delay, hint="the sweep goes on without Redis"
            )
        finally:
            try:
                # Raises the cancellation of a job of its own as if it were ours.
                with contextlib.suppress(*REDIS_ERRORS):
                    await worker.close()
            finally:
                with contextlib.suppress(*REDIS_ERRORS):
                    await pool.aclose()
        if time.monotonic() - started > HEALTHY_AFTER:
            delay = 1
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_RESTART_DELAY)


async def _insistently(work: Coroutine[Any, Any, None]) -> None:
    """Await work that may swallow a cancellation, as arq does when it is cancelled while it starts."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1)


async def _beat(workers: WorkerStore, clock: StoreClock) -> None:
    worker_id = f"{socket.gethostname()}:{os.getpid()}"
    try:
        while True:
            with contextlib.suppress(*STORE_ERRORS):
                await workers.beat(worker_id, VERSION)
            await clock.try_to_read()
            await asyncio.sleep(HEARTBEAT_SECONDS)
    finally:
        with contextlib.suppress(*STORE_ERRORS):
            await asyncio.shield(workers.leave(worker_id))


async def _serve_health(settings: Settings, pool: Pool) -> None:
    if not settings.worker_port:
        return
    queue = open_queue(settings.redis_url.get_secret_value())
    try:
        app = Starlette(routes=Health(pool, queue).routes())
        await serve_beside(app, settings.host, settings.worker_port, "WORKER_PORT")
    finally:
        await queue.aclose()
