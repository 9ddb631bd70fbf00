"""Runs the due events of this worker: claim, dispatch, settle; many subjects at a time, each subject once.

The claims are taken from PostgreSQL. A wake-up (from Redis, or when an attempt ends) only says that looking is worth
it; without any, the processor looks every `sweep_seconds`.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from handlers.errors import Refused, Suspended, Unreachable
from handlers.event import Work
from handlers.outcome import Outcome
from mappings.codes import Code
from middleware.clients.http.calls import Call, acting_for, recorded_calls
from middleware.pipeline.attempt import EndedAttempt, Timing, end_attempt, lead_event, released, work_of
from middleware.pipeline.reporting import report
from middleware.pipeline.retry import LONGEST_DELAY, Attempt, Verdict, judge
from middleware.store.database import StoreUnavailableError
from middleware.store.events.claim_records import Claim
from middleware.store.events.claims import Claims

log = structlog.get_logger()

Dispatch = Callable[[Work], Awaitable[Outcome]]
Observe = Callable[[str, str, str], Awaitable[None]]
PausedSources = Callable[[], Awaitable[Sequence[str] | None]]
"""Sources whose events are left to wait; None for all of them."""

# Seconds that a claim under way gets at the end; PostgreSQL may hang.
LONGEST_LAST_CLAIM = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much at a time and for how long; times in seconds."""

    concurrency: int
    attempt_timeout: float
    sweep_seconds: float
    keep_trying: timedelta


@dataclass(frozen=True, slots=True)
class InHand:
    """A subject of this worker, until its attempt is settled."""

    claim: Claim
    task: asyncio.Task[None]


async def nothing_held() -> Sequence[str] | None:
    """No source is left to wait."""
    return ()


class Processor:
    """Owns the work in hand of this process. With `only`, it takes just the subjects that begin with one of these.

    `paused_sources` names the sources whose events are left to wait, because a system that they need is away.
    """

    def __init__(
        self,
        database_url: str,
        dispatch: Dispatch,
        observe_remote: Observe,
        limits: Limits,
        *,
        only: Sequence[str] = (),
        paused_sources: PausedSources = nothing_held,
    ) -> None:
        self._dispatch = dispatch
        self._observe_remote = observe_remote
        self._limits = limits
        self._paused_sources = paused_sources
        self._claims = Claims(database_url, self._drop_everything, only)
        self._running: dict[str, InHand] = {}
        self._ended: list[EndedAttempt] = []
        self._look = asyncio.Event()
        self._settle_now = asyncio.Event()
        self._room = asyncio.Event()
        self._took_last = asyncio.Event()
        self._took_last.set()
        self._stopped = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for due events now."""
        self._look.set()

    async def room(self) -> None:
        """Return when another subject can be taken: a busy worker leaves wake-ups to the others."""
        while len(self._running) >= self._limits.concurrency and not self._stopping:
            self._room.clear()
            await self._room.wait()

    async def run(self) -> None:
        """Work until `stop` has done its part; survives PostgreSQL going away and coming back."""
        self._took_last.clear()
        settler = asyncio.create_task(self._settle_for_ever(), name="settler")
        try:
            next_sweep = 0.0
            while not self._stopping:
                next_sweep = await self._round(next_sweep)
            self._took_last.set()
            await self._stopped.wait()
        finally:
            self._took_last.set()
            settler.cancel()
            await asyncio.gather(settler, return_exceptions=True)
            # Cancelled without `stop`: nobody would settle, so let the others have the work.
            self._drop_everything()
            await self._claims.close()

    async def stop(self, grace: float) -> None:
        """Take nothing new, give the work in hand `grace` seconds, hand back the rest."""
        self._stopping = True
        self.wake()
        self._room.set()
        with contextlib.suppress(TimeoutError):
            # A claim that comes back now still belongs to the work in hand.
            async with asyncio.timeout(LONGEST_LAST_CLAIM):
                await self._took_last.wait()
        in_hand = list(self._running.values())
        tasks = [item.task for item in in_hand]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        now = datetime.now(UTC)
        self._ended += [released(item.claim, now) for item in in_hand if self._was_cut_short(item)]
        with contextlib.suppress(StoreUnavailableError):
            await self._settle()
        # Closing waits for the settler and frees the locks: the next worker that sweeps takes over what is not settled.
        await self._claims.close()
        self._stopped.set()

    def _was_cut_short(self, item: InHand) -> bool:
        return item.task.cancelled() and self._running.get(item.claim.subject) is item

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
            log.warning("store.unreachable", error=str(error), hint="the worker continues when PostgreSQL answers")
            await asyncio.sleep(1)
            return next_sweep
        # Not `wait_for`: before Python 3.12 it forgets a cancellation that comes together with a wake-up.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.05, next_sweep - time.monotonic())):
                await self._look.wait()
        return next_sweep

    async def _take_due(self) -> None:
        while not self._stopping:
            free = self._limits.concurrency - len(self._running)
            if free <= 0:
                return
            held = await self._paused_sources()
            if held is None:
                return
            claims = await self._claims.claim(free, list(self._running), held)
            for claim in claims:
                task = asyncio.create_task(self._run_attempt(claim), name=f"attempt:{claim.subject}")
                self._running[claim.subject] = InHand(claim, task)
            if not claims:
                return

    async def _run_attempt(self, claim: Claim) -> None:
        started_at, started = datetime.now(UTC), time.perf_counter()
        structlog.contextvars.bind_contextvars(subject=claim.subject)
        acting_for.set(claim.subject)
        with recorded_calls() as calls:
            result = await self._result_of(claim)
        if not self._is_in_hand(claim):
            # Its lock was lost, and what it waited for did not heed the cancellation: others settle its events now.
            return
        verdict = self._judged(claim, result)
        timing = Timing(started_at, time.perf_counter() - started, calls)
        self._ended.append(end_attempt(claim, verdict, timing, datetime.now(UTC)))
        self._settle_now.set()
        try:
            report(lead_event(claim), verdict, timing.seconds, result)
            await self._learn(calls, result)
        except Exception:
            log.exception("try.unreported", hint="its events are settled anyway")

    async def _result_of(self, claim: Claim) -> Outcome | BaseException:
        limit = asyncio.timeout(self._limits.attempt_timeout)
        try:
            work = work_of(claim)
            async with limit:
                return await self._dispatch(work)
        except TimeoutError as error:
            if limit.expired():
                return TimeoutError(f"the attempt took longer than {self._limits.attempt_timeout:.0f} s")
            return error
        except Exception as error:  # noqa: BLE001 - every way of failing is judged by the retry policy
            return error
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            # What it waited for was cancelled by somebody else: a failure like others, and no end of this task.
            return error

    def _judged(self, claim: Claim, result: Outcome | BaseException) -> Verdict:
        lead = lead_event(claim)
        try:
            this = Attempt(lead.attempts, lead.series_started_at, datetime.now(UTC), random.random())  # noqa: S311 - jitter
            return judge(result, this, self._limits.keep_trying)
        except Exception as error:
            # Whatever the policy stumbles over, the subject must be free again.
            log.exception("policy.failed")
            return Verdict(
                "retrying", Code.UNFORESEEN, f"unforeseen {type(error).__name__}: {error}", delay=LONGEST_DELAY
            )

    async def _learn(self, calls: Sequence[Call], result: Outcome | BaseException) -> None:
        """Pass on what the calls of an attempt say about the remote systems."""
        states = {call.system: ("ok", "answers") for call in calls if call.status is not None}
        if isinstance(result, Refused | Unreachable) and not isinstance(result, Suspended):
            states[result.system] = ("refused" if isinstance(result, Refused) else "unreachable", result.message)
        for system, (state, message) in states.items():
            await self._observe_remote(system, state, message)

    async def _settle_for_ever(self) -> None:
        while True:
            await self._settle_now.wait()
            self._settle_now.clear()
            try:
                await self._settle()
            except StoreUnavailableError as error:
                log.warning("store.unreachable", error=str(error), hint="unsettled attempts are repeated")
            except Exception:
                # The claims were let go of: others do these attempts again, and this worker must not stand still.
                log.exception("settlement.failed")

    async def _settle(self) -> None:
        batch, self._ended = self._ended, []
        if not batch:
            return
        hold = batch[-1].claim.hold
        batch = [item for item in batch if item.claim.hold == hold]
        try:
            await self._claims.settle(
                hold,
                [change for item in batch for change in item.changes],
                [item.attempt for item in batch if item.attempt is not None],
                [item.claim.subject for item in batch],
                [item.doubt for item in batch if item.doubt is not None],
            )
        finally:
            for item in batch:
                self._release(item.claim)
            self._look.set()

    def _release(self, claim: Claim) -> None:
        if self._is_in_hand(claim):
            del self._running[claim.subject]
            self._room.set()

    def _is_in_hand(self, claim: Claim) -> bool:
        in_hand = self._running.get(claim.subject)
        return in_hand is not None and in_hand.claim is claim

    def _drop_everything(self) -> None:
        """The subject locks are lost: another worker may take these subjects, so we let go of them at once."""
        for item in self._running.values():
            item.task.cancel()
        self._running.clear()
        self._ended.clear()
        self._room.set()


def is_cancelled() -> bool:
    """Whether somebody asked the present task to end, though what it waited for may have forgotten it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
