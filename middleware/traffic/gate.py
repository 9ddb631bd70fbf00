"""The gate to one remote system: when a request may leave, and what its end says about the system."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

import structlog

from handlers.errors import Doubtful, RemoteError, ServerError, Suspended, Throttled, Unreachable
from middleware.clients.http.calls import acting_for
from middleware.store.operations.circuits import CLOSED, Circuit
from middleware.traffic.circuit import after_failed_probe, after_failure, with_probe_taken
from middleware.traffic.circuits import Circuits
from middleware.traffic.limits import LowPriority, RateLimiter

log = structlog.get_logger()

# A request waits this long for its turn, or for an attempt of the same worker; then its whole attempt is put off.
LONGEST_WAIT = 20.0
# It comes again so long before a turn is free: sooner than requests in no hurry take it.
COMES_BEFORE = 5.0
# Held back events are claimed by the circuit, not by their time: it may be soon.
LONGEST_DELAY = 5.0
TOO_MANY_REQUESTS = 429
LONGEST_HALT = 60.0

low_priority: ContextVar[bool] = ContextVar("low_priority", default=False)
"""Whether requests are made for work that nobody waits for: they take what turns are left, however long that takes."""

FAILING = (Unreachable, Doubtful, ServerError)


@dataclass(frozen=True, slots=True)
class TrafficLimits:
    """How much one system is asked by one process: requests at a time, and a second (0: no limit)."""

    concurrency: int
    per_second: float


class Gate:
    """The gate of one process to one system.

    `interactive`: the process is the command of a person. It waits for its turn however long, and tries a system that
    is paused anyway: an answer closes the circuit for all, a failure leaves everything as it is.
    """

    def __init__(
        self,
        system: str,
        limits: TrafficLimits,
        circuits: Circuits,
        *,
        interactive: bool,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._system = system
        self._circuits = circuits
        self._interactive = interactive
        # Nobody else tries again what a person asked for.
        self._longest_wait = float("inf") if interactive else LONGEST_WAIT
        self._timer = timer
        self._limiter = RateLimiter(limits.per_second)
        self._low_priority = LowPriority(self._limiter, timer)
        self._slots = asyncio.Semaphore(limits.concurrency)
        self._probe_ended = asyncio.Event()
        self._probe_ended.set()

    @property
    def is_halted(self) -> bool:
        """Whether the next turn is too far away to begin anything."""
        return self._limiter.seconds_to_turn(self._timer()) > LONGEST_WAIT

    @asynccontextmanager
    async def admit(self, label: str) -> AsyncIterator[None]:
        """Wait for one's turn, let the request pass, and learn from its end.

        Raises:
            Suspended: the system is paused, or its turn is too far away.
        """
        is_patient = low_priority.get()
        if is_patient:
            # Before it takes a place: it may wait for long, and the place is for those who go.
            await self._low_priority.turn()
        async with self._slots:
            if not is_patient:
                await self._turn(label)
            is_probe = await self._admitted(label)
            try:
                yield
            except FAILING as error:
                await self._failed(error, is_probe=is_probe)
                raise
            except RemoteError as error:
                self._slow_down(error)
                await self._answered(is_probe=is_probe)
                raise
            else:
                await self._answered(is_probe=is_probe)
            finally:
                if is_probe:
                    self._probe_ended.set()

    async def _turn(self, label: str) -> None:
        now = self._timer()
        wait = self._limiter.reserve(now, self._longest_wait)
        if wait is None:
            message = "not sent: its turn is too far away at the rate that is allowed"
            delay = max(0.0, self._limiter.seconds_to_turn(now) - COMES_BEFORE)
            raise Suspended(self._system, label, message, delay=delay)
        if wait:
            await asyncio.sleep(wait)

    async def _admitted(self, label: str) -> bool:
        """Whether this request is the one that tries; raises `Suspended` while the system is paused."""
        if not self._circuits.circuit(self._system).is_open:
            return False
        if self._interactive or await self._is_probe():
            return True
        with suppress(TimeoutError):
            # Somebody of this worker tries at this moment: its end concerns us, too.
            # Not wait_for: in Python 3.11 it swallows a cancellation that comes with the end, and sends.
            async with asyncio.timeout(LONGEST_WAIT):
                await self._probe_ended.wait()
        circuit = self._circuits.circuit(self._system)
        if not circuit.is_open:
            return False
        message = f"not sent: {circuit.in_words}"
        wait = min(LONGEST_DELAY, circuit.seconds_to_probe(self._circuits.clock()))
        raise Suspended(self._system, label, message, delay=wait)

    async def _is_probe(self) -> bool:
        now = self._circuits.clock()
        if not self._probe_ended.is_set() or not self._circuits.circuit(self._system).probe_is_due(now):
            return False
        self._probe_ended.clear()
        is_taken = False
        try:
            _, is_taken = await self._circuits.change(self._system, lambda one: with_probe_taken(one, now, _chance()))
        finally:
            if not is_taken:
                self._probe_ended.set()
        return is_taken

    async def _failed(self, error: RemoteError, *, is_probe: bool) -> None:
        now, subject = self._circuits.clock(), acting_for.get()

        def decide(circuit: Circuit) -> Circuit:
            # That a person tried in between says nothing about when the workers should.
            if is_probe and not self._interactive:
                return after_failed_probe(circuit, error.message, now, _chance())
            return after_failure(circuit, subject, error.message, now, _chance())

        circuit, is_changed = await self._circuits.change(self._system, decide)
        error.is_outage = circuit.is_open
        if circuit.is_open and is_changed:
            await self._tell(circuit, now)

    async def _answered(self, *, is_probe: bool) -> None:
        present = self._circuits.circuit(self._system)
        # What was under way when the circuit was opened is no answer to the question whether the system is back.
        if present.is_calm or (present.is_open and not is_probe):
            return
        _, is_changed = await self._circuits.change(
            self._system, lambda circuit: CLOSED if is_probe or not circuit.is_open else None
        )
        if is_changed and present.open_since is not None:
            away = self._circuits.clock() - present.open_since
            waiting = await self._circuits.waiting(self._system)
            log.info("remote.back", system=self._system, away_s=round(away.total_seconds()), waiting=waiting)

    def _slow_down(self, error: RemoteError) -> None:
        # Not for Invoice Ninja's 400 "Duplicate request", which concerns one record only.
        if isinstance(error, Throttled) and error.status == TOO_MANY_REQUESTS:
            self._limiter.halt(self._timer() + min(error.retry_after, LONGEST_HALT))

    async def _tell(self, circuit: Circuit, now: datetime) -> None:
        log.error(
            "remote.away",
            system=self._system,
            since=circuit.open_since.isoformat(timespec="seconds") if circuit.open_since else None,
            waiting=await self._circuits.waiting(self._system),
            next_try_in_s=round(circuit.seconds_to_probe(now), 1),
            message=circuit.message,
            hint="its events wait and cost nothing; it is retried automatically",
        )


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter
