"""Runs the due events of this worker: claim, dispatch, settle; many subjects at a time, each subject once.

The claims are taken from PostgreSQL. A wake-up (from Redis, or when a try ends) only says that looking is worth it;
without any, the processor looks every `sweep_seconds`.
"""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog

from handlers.errors import Refused, RemoteError, Unreachable
from handlers.event import Event, Work
from handlers.outcome import Outcome
from middleware import metrics
from middleware.clients.calls import Call, recorded_calls
from middleware.retry import Try, Verdict, judge
from middleware.store.claims import AttemptRecord, Claim, ClaimedEvent, Claims, Settlement
from middleware.store.database import StoreUnavailableError

log = structlog.get_logger()

Dispatch = Callable[[Work], Awaitable[Outcome]]
Observe = Callable[[str, str, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at a time and for how long; times in seconds."""

    concurrency: int
    attempt_timeout: float
    sweep_seconds: float
    keep_trying: timedelta


@dataclass(frozen=True, slots=True)
class Ended:
    """A try that ended: everything its settlement needs."""

    subject: str
    settlements: tuple[Settlement, ...]
    attempt: AttemptRecord


class Processor:
    """Owns the work in hand of this process."""

    def __init__(self, database_url: str, dispatch: Dispatch, observe_remote: Observe, limits: Limits) -> None:
        self._dispatch = dispatch
        self._observe_remote = observe_remote
        self._limits = limits
        self._claims = Claims(database_url, self._drop_everything)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ended: list[Ended] = []
        self._look = asyncio.Event()
        self._settle_now = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for due events now."""
        self._look.set()

    async def room(self) -> None:
        """Return when another subject can be taken: a busy worker leaves wake-ups to the others."""
        while len(self._running) >= self._limits.concurrency and not self._stopping:
            await asyncio.wait(self._running.values(), return_when=asyncio.FIRST_COMPLETED, timeout=1)
            # The place is free only when the try is settled as well.
            await asyncio.sleep(0)

    async def run(self) -> None:
        """Work until `stop` is called; survives PostgreSQL going away and coming back."""
        settler = asyncio.create_task(self._settle_for_ever(), name="settler")
        try:
            next_sweep = 0.0
            while not self._stopping:
                next_sweep = await self._round(next_sweep)
        finally:
            settler.cancel()
            await asyncio.gather(settler, return_exceptions=True)

    async def stop(self, grace: float) -> None:
        """Take nothing new, give the work in hand `grace` seconds, hand back the rest."""
        self._stopping = True
        self.wake()
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace)
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        with contextlib.suppress(StoreUnavailableError):
            await self._settle()
        # Closing frees the locks: what was cut short is taken over at once by whoever sweeps next.
        await self._claims.close()

    async def _round(self, next_sweep: float) -> float:
        self._look.clear()
        try:
            if time.monotonic() >= next_sweep:
                next_sweep = time.monotonic() + self._limits.sweep_seconds
                released = await self._claims.release_orphans(list(self._running))
                if released:
                    log.warning("events.taken_over", count=released, reason="their worker is gone")
            await self._take_due()
        except StoreUnavailableError as error:
            log.warning("store.unreachable", error=str(error), hint="the worker goes on when PostgreSQL answers")
            await asyncio.sleep(1)
            return next_sweep
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._look.wait(), max(0.05, next_sweep - time.monotonic()))
        return next_sweep

    async def _take_due(self) -> None:
        while not self._stopping:
            free = self._limits.concurrency - len(self._running)
            if free <= 0:
                return
            claims = await self._claims.claim(free, list(self._running))
            for claim in claims:
                task = asyncio.create_task(self._try(claim), name=f"try:{claim.subject}")
                self._running[claim.subject] = task
            if not claims:
                return

    async def _try(self, claim: Claim) -> None:
        started_at = datetime.now(UTC)
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(subject=claim.subject)
        lead = claim.newest if claim.newest_is_due else claim.due[-1]
        with recorded_calls() as calls:
            result = await self._attempt(claim)
        seconds = time.perf_counter() - started
        now = datetime.now(UTC)
        this = Try(lead.attempts, lead.series_started_at, now, random.random())  # noqa: S311 - jitter
        verdict = judge(result, this, self._limits.keep_trying)
        self._report(lead, verdict, seconds, result)
        record = AttemptRecord(
            lead.id,
            lead.attempts,
            started_at,
            round(seconds * 1000),
            verdict.status,
            verdict.reason,
            [call_as_json(call) for call in calls],
        )
        self._ended.append(Ended(claim.subject, _settlements(claim, lead, verdict, now), record))
        self._settle_now.set()
        await self._learn(calls, result)

    async def _attempt(self, claim: Claim) -> Outcome | BaseException:
        try:
            work = _work(claim)
            async with asyncio.timeout(self._limits.attempt_timeout):
                return await self._dispatch(work)
        except TimeoutError:
            return TimeoutError(f"the try took longer than {self._limits.attempt_timeout:.0f} s")
        except Exception as error:  # noqa: BLE001 - every way of failing is judged by the retry policy
            return error

    async def _learn(self, calls: list[Call], result: Outcome | BaseException) -> None:
        """Pass on what the calls of a try say about the remote systems."""
        states = {call.system: ("ok", "answers") for call in calls if call.status is not None}
        if isinstance(result, RemoteError) and isinstance(result, Refused | Unreachable):
            states[result.system] = ("refused" if isinstance(result, Refused) else "unreachable", result.message)
        for system, (state, message) in states.items():
            await self._observe_remote(system, state, message)

    def _report(self, lead: ClaimedEvent, verdict: Verdict, seconds: float, result: Outcome | BaseException) -> None:
        metrics.ATTEMPTS.labels(lead.source, verdict.status).inc()
        metrics.ATTEMPT_SECONDS.labels(lead.source).observe(seconds)
        if verdict.status != "retrying":
            metrics.FINISHED.labels(lead.source, verdict.status).inc()
            waited = (datetime.now(UTC) - lead.received_at).total_seconds()
            metrics.END_TO_END_SECONDS.labels(lead.source).observe(waited)
        line = {
            "event_id": lead.id,
            "type": lead.type,
            "attempt": lead.attempts,
            "outcome": verdict.status,
            "reason": verdict.reason,
            "duration_ms": round(seconds * 1000, 1),
        }
        if verdict.status == "retrying":
            line["next_attempt_in_s"] = round(verdict.delay, 1)
        if verdict.hint:
            line["hint"] = verdict.hint
        if verdict.reason.startswith("unforeseen"):
            log.error("event.attempted", **line, exc_info=result)
        elif verdict.status in ("processed", "ignored"):
            log.info("event.attempted", **line)
        elif isinstance(result, Refused):
            log.error("event.attempted", **line)
        else:
            log.warning("event.attempted", **line)

    async def _settle_for_ever(self) -> None:
        while True:
            await self._settle_now.wait()
            self._settle_now.clear()
            try:
                await self._settle()
            except StoreUnavailableError as error:
                log.warning("store.unreachable", error=str(error), hint="unsettled tries are done again")

    async def _settle(self) -> None:
        ended, self._ended = self._ended, []
        if not ended:
            return
        try:
            await self._claims.settle(
                [settlement for item in ended for settlement in item.settlements],
                [item.attempt for item in ended],
                [item.subject for item in ended],
            )
        finally:
            for item in ended:
                self._running.pop(item.subject, None)
            self._look.set()

    def _drop_everything(self) -> None:
        """The subject locks are lost: another worker may take these subjects, so we let go of them at once."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()
        self._ended.clear()


def _work(claim: Claim) -> Work:
    return Work(claim.subject, tuple(_event(event) for event in claim.due), _event(claim.newest))


def _event(row: ClaimedEvent) -> Event:
    payload: Mapping[str, Any] = json.loads(row.body, parse_float=Decimal)
    return Event(row.id, row.source, row.type, row.key, row.subject, row.occurred_at, row.received_at, payload)


def _settlements(claim: Claim, lead: ClaimedEvent, verdict: Verdict, now: datetime) -> tuple[Settlement, ...]:
    next_attempt_at = now + timedelta(seconds=verdict.delay) if verdict.status == "retrying" else None
    own = Settlement(lead.id, verdict.status, verdict.reason, verdict.hint, next_attempt_at)
    reason = f"taken together with event {lead.id} of the same subject"
    others = [Settlement(event.id, "ignored", reason) for event in claim.due if event.id != lead.id]
    return (own, *others)


def call_as_json(call: Call) -> dict[str, object]:
    """A call as it is kept with its attempt."""
    return {
        "system": call.system,
        "method": call.method,
        "path": call.path,
        "status": call.status,
        "ms": call.ms,
        "error": call.error,
    }
