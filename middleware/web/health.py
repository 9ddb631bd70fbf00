"""Liveness, readiness (named checks, each with a hint) and metrics."""

import asyncio
import ipaddress
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from arq.connections import ArqRedis
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from middleware import metrics
from middleware.pipeline.wakeups import REDIS_ERRORS, in_words
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError, ping
from middleware.store.events.events import Backlog, backlog
from middleware.store.operations.circuits import CircuitStore
from middleware.store.operations.workers import WorkerStore
from middleware.version import VERSION

STALE_HEARTBEAT_SECONDS = 60
FRESH_SECONDS = 1.0
# Who asks for readiness wants an answer, also when PostgreSQL hangs.
PATIENCE_SECONDS = 3.0

State = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class Check:
    """One named check. `failed` means that webhooks cannot be taken; `degraded` that work waits."""

    name: str
    state: State
    message: str
    hint: str = ""


async def database_state(pool: Pool) -> Check:
    """Whether events can be stored."""
    try:
        await ping(pool)
    except StoreUnavailableError as error:
        return Check("postgresql", "failed", str(error), "start PostgreSQL, or correct DATABASE_URL")
    return Check("postgresql", "ok", "answers")


async def check_redis(queue: ArqRedis) -> Check:
    """Whether workers are woken at once (without Redis they look every few seconds)."""
    try:
        async with asyncio.timeout(2):
            await queue.ping()
    except REDIS_ERRORS as error:
        return Check("redis", "degraded", f"does not answer: {in_words(error)}", "start Redis, or correct REDIS_URL")
    return Check("redis", "ok", "answers")


async def check_worker(workers: WorkerStore) -> Check:
    """Whether a worker is alive."""
    hint = "start a worker: taiga-billing worker"
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            age = await workers.seconds_since_beat()
    except STORE_ERRORS as error:
        return Check("worker", "degraded", f"not known: {error}", hint)
    if age is None:
        return Check("worker", "degraded", "no worker has ever run", hint)
    if age > STALE_HEARTBEAT_SECONDS:
        return Check("worker", "degraded", f"last heartbeat {age:.0f} s ago", hint)
    return Check("worker", "ok", f"heartbeat {age:.0f} s ago")


async def check_remotes(pool: Pool, workers: WorkerStore) -> list[Check]:
    """What the workers last learned of Taiga, Invoice Ninja and Stripe."""
    hints = {
        "refused": "the credentials are not accepted: correct them and restart; the events wait",
        "unreachable": "it is retried automatically; the events wait",
    }
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            states = await workers.remotes()
            away = await _away(pool)
    except (StoreUnavailableError, *STORE_ERRORS):
        return []
    named = {check.name for check in away}
    return away + [
        Check(
            remote.system,
            "ok" if remote.state == "ok" else "degraded",
            remote.message
            if remote.state == "ok"
            else f"{remote.state} since {remote.since:%Y-%m-%d %H:%M} UTC: {remote.message}",
            hints.get(remote.state, ""),
        )
        for remote in states
        if remote.system not in named
    ]


async def _away(pool: Pool) -> list[Check]:
    """The systems that are left alone because they fail everybody."""
    circuits = {system: one for system, one in (await CircuitStore(pool).all()).items() if one.is_open}
    if not circuits:
        return []
    waiting = await backlog(pool)
    now = datetime.now(UTC)
    return [
        Check(
            system,
            "degraded",
            f"{one.in_words}; "
            f"{waiting.received + waiting.retrying} events wait, next try in {one.seconds_to_probe(now):.0f} s",
            "it is retried automatically; the events wait",
        )
        for system, one in sorted(circuits.items())
    ]


class Health:
    """The three endpoints that are asked by machines."""

    def __init__(self, pool: Pool, queue: ArqRedis) -> None:
        self._pool = pool
        self._queue = queue
        self._workers = WorkerStore(pool)
        self._checked: tuple[float, list[Check]] | None = None
        self._counted: tuple[float, Backlog | None] | None = None
        self._turn = asyncio.Lock()

    def routes(self, *, is_public: bool = False, has_metrics: bool = True) -> list[Route]:
        """`/healthz`, `/readyz` and `/metrics`; in public, who asks from another machine reads no details."""

        async def healthz(request: Request) -> Response:
            """The process answers."""
            details = {} if is_public and not _is_here(request) else {"version": VERSION}
            return JSONResponse({"status": "ok", **details})

        async def readyz(request: Request) -> Response:
            return await self._readyz(has_details=not is_public or _is_here(request))

        metrics_route = [Route("/metrics", self.metrics)] if has_metrics else []
        return [Route("/healthz", healthz), Route("/readyz", readyz), *metrics_route]

    async def _readyz(self, *, has_details: bool) -> Response:
        """200 when webhooks can be taken (`ok` or `degraded`), else 503; always the named checks."""
        checks = await self.checks() if has_details else await self._checks_of_late()
        states = {check.state for check in checks}
        overall = "failed" if "failed" in states else "degraded" if "degraded" in states else "ok"
        return JSONResponse(
            {
                "status": overall,
                "checks": {
                    check.name: {"status": check.state}
                    | ({"message": check.message, "hint": check.hint} if has_details else {})
                    for check in checks
                },
            },
            status_code=503 if overall == "failed" else 200,
        )

    async def _checks_of_late(self) -> list[Check]:
        """The checks of this second: however many ask, PostgreSQL is asked once."""
        async with self._turn:
            if self._checked is None or time.monotonic() - self._checked[0] > FRESH_SECONDS:
                self._checked = time.monotonic(), await self.checks()
        return self._checked[1]

    async def checks(self) -> list[Check]:
        """Every check, asked at the same time."""
        database, redis, worker, remotes = await asyncio.gather(
            database_state(self._pool),
            check_redis(self._queue),
            check_worker(self._workers),
            check_remotes(self._pool, self._workers),
        )
        return [database, redis, worker, *remotes]

    async def metrics(self, _request: Request) -> Response:
        """Prometheus' text format; the gauges of the queue are those of this second."""
        waiting = await self._backlog_of_late()
        if waiting is None:
            # The counters of this process are worth as much without the gauges.
            return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)
        for status in ("received", "retrying", "processing", "dead"):
            metrics.QUEUE_DEPTH.labels(status).set(getattr(waiting, status))
        metrics.OLDEST_DUE_SECONDS.set(waiting.oldest_due_seconds)
        return Response(metrics.render(), media_type=metrics.CONTENT_TYPE)

    async def _backlog_of_late(self) -> Backlog | None:
        async with self._turn:
            if self._counted is None or time.monotonic() - self._counted[0] > FRESH_SECONDS:
                try:
                    waiting = await backlog(self._pool)
                except StoreUnavailableError:
                    waiting = None
                self._counted = time.monotonic(), waiting
        return self._counted[1]


def _is_here(request: Request) -> bool:
    """Whether this very machine asks, and not somebody through a proxy on it."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
