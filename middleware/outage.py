"""The traffic to each remote system: how fast it may leave, and that a system which fails everybody is left alone.

All workers share one circuit for each system, in PostgreSQL; each keeps a copy, renewed before it claims work. While a
circuit is open nothing is claimed that needs the system: waiting costs nothing. When the pause is over, one request of
one worker tries; its answer opens the way for all. Without PostgreSQL a worker goes by its copy.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from handlers.errors import Doubtful, RemoteError, ServerError, Suspended, Throttled, Unreachable
from middleware.breaker import CLOSED, Circuit, after_failed_probe, after_failure, with_probe_taken
from middleware.clients.calls import acting_for
from middleware.pacing import Pace, Slots
from middleware.store.circuits import CircuitStore
from middleware.store.database import StoreUnavailableError

log = structlog.get_logger()

REFRESH_SECONDS = 1.0
COUNT_WORKERS_SECONDS = 10.0
# A request waits this long for its turn, or for a try of the same worker; then its whole try is put off.
LONGEST_WAIT = 20.0
# Held back events are claimed by the circuit, not by their time: it may be soon.
LONGEST_DELAY = 5.0
TOO_MANY_REQUESTS = 429
LONGEST_HALT = 60.0

ALL_SOURCES = frozenset(("taiga", "stripe", "schedule", "operator"))
FAILING = (Unreachable, Doubtful, ServerError)


@dataclass(frozen=True, slots=True)
class Rate:
    """How much one system is asked by all workers together: requests at a time, and a second (0: no limit)."""

    concurrency: int
    per_second: float


def needs_of(*, taiga: bool, stripe: bool) -> dict[str, Sequence[str]]:
    """What cannot be settled without each system; Taiga and Stripe are asked only when we have credentials for them."""
    return {
        "invoiceninja": sorted(ALL_SOURCES),
        "taiga": ("taiga",) if taiga else (),
        "stripe": ("stripe", "operator") if stripe else (),
    }


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Outages:
    """The traffic of one worker. `needs` names, for each system, the sources whose events cannot be settled without."""

    def __init__(
        self,
        store: CircuitStore,
        rates: Mapping[str, Rate],
        needs: Mapping[str, Sequence[str]],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store = store
        self.clock = clock
        self.needs = needs
        self._circuits: dict[str, Circuit] = {}
        self._ways = {system: Way(system, rate, self) for system, rate in rates.items()}
        self._refreshed_at = self._counted_at = float("-inf")

    def passage(self, system: str) -> Callable[[str], AbstractAsyncContextManager[None]]:
        """What `RemoteClient.through` takes."""
        return self._ways[system].passage

    def circuit(self, system: str) -> Circuit:
        """What this worker knows."""
        return self._circuits.get(system, CLOSED)

    async def held_sources(self) -> list[str] | None:
        """Sources whose events are not worth claiming now, because a system that they need is left alone; None: all."""
        await self._refresh()
        held = {source for system in self._held_systems() for source in self.needs.get(system, ())}
        return None if held >= ALL_SOURCES else sorted(held)

    def _held_systems(self) -> list[str]:
        now = self.clock()
        away = [name for name, one in self._circuits.items() if one.is_open and not one.probe_is_due(now)]
        return away + [name for name, way in self._ways.items() if way.is_halted]

    async def change(self, system: str, decide: Callable[[Circuit], Circuit | None]) -> tuple[Circuit, bool]:
        """Change a circuit for all workers, or for this one while PostgreSQL is away."""
        try:
            circuit, is_changed = await self.store.change(system, decide)
        except StoreUnavailableError:
            present = self.circuit(system)
            decided = decide(present)
            circuit, is_changed = decided or present, decided not in (None, present)
        self._circuits[system] = circuit
        return circuit, is_changed

    async def waiting(self, system: str) -> int | None:
        """How many events wait for a system; None when PostgreSQL does not say."""
        try:
            return await self.store.waiting(self.needs.get(system, ()))
        except StoreUnavailableError:
            return None

    async def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._refreshed_at < REFRESH_SECONDS:
            return
        self._refreshed_at = now
        with suppress(StoreUnavailableError):
            self._circuits = await self.store.all()
            if now - self._counted_at >= COUNT_WORKERS_SECONDS:
                self._counted_at = now
                workers = await self.store.workers()
                for way in self._ways.values():
                    way.share_among(workers)


class Way:
    """The way to one system."""

    def __init__(self, system: str, rate: Rate, outages: Outages) -> None:
        self._system = system
        self._rate = rate
        self._outages = outages
        self._pace = Pace(rate.per_second)
        self._slots = Slots(rate.concurrency)
        self._probe_ended = asyncio.Event()
        self._probe_ended.set()

    @property
    def is_halted(self) -> bool:
        """Whether the next turn is too far away to begin anything."""
        return self._pace.seconds_to_turn(time.monotonic()) > LONGEST_WAIT

    def share_among(self, workers: int) -> None:
        """Keep to the share of one among this many workers."""
        self._pace.per_second = self._rate.per_second / workers
        self._slots.resize(max(1, self._rate.concurrency // workers))

    @asynccontextmanager
    async def passage(self, label: str) -> AsyncIterator[None]:
        """Wait for one's turn, let the request pass, and learn from its end.

        Raises:
            Suspended: the system is left alone, or its turn is too far away.
        """
        async with self._slots:
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
        now = time.monotonic()
        wait = self._pace.reserve(now, LONGEST_WAIT)
        if wait is None:
            message = "not sent: its turn is too far away at the rate that is allowed"
            raise Suspended(self._system, label, message, delay=self._pace.seconds_to_turn(now))
        if wait:
            await asyncio.sleep(wait)

    async def _admitted(self, label: str) -> bool:
        """Whether this request is the one that tries; raises `Suspended` while the system is left alone."""
        if not self._outages.circuit(self._system).is_open:
            return False
        if await self._is_probe():
            return True
        with suppress(TimeoutError):
            # Somebody of this worker tries at this moment: its end concerns us, too.
            await asyncio.wait_for(self._probe_ended.wait(), LONGEST_WAIT)
        circuit = self._outages.circuit(self._system)
        if not circuit.is_open:
            return False
        message = f"not sent: away since {circuit.open_since:%Y-%m-%d %H:%M:%S} UTC ({circuit.message})"
        wait = min(LONGEST_DELAY, circuit.seconds_to_probe(self._outages.clock()))
        raise Suspended(self._system, label, message, delay=wait)

    async def _is_probe(self) -> bool:
        now = self._outages.clock()
        if not self._probe_ended.is_set() or not self._outages.circuit(self._system).probe_is_due(now):
            return False
        self._probe_ended.clear()
        is_taken = False
        try:
            _, is_taken = await self._outages.change(self._system, lambda one: with_probe_taken(one, now, _chance()))
        finally:
            if not is_taken:
                self._probe_ended.set()
        return is_taken

    async def _failed(self, error: RemoteError, *, is_probe: bool) -> None:
        now, subject = self._outages.clock(), acting_for.get()

        def decide(circuit: Circuit) -> Circuit:
            if is_probe:
                return after_failed_probe(circuit, error.message, now, _chance())
            return after_failure(circuit, subject, error.message, now, _chance())

        circuit, is_changed = await self._outages.change(self._system, decide)
        error.is_outage = circuit.is_open
        if circuit.is_open and is_changed:
            await self._tell(circuit, now)

    async def _answered(self, *, is_probe: bool) -> None:
        present = self._outages.circuit(self._system)
        # What was under way when the circuit was opened is no answer to the question whether the system is back.
        if present.is_calm or (present.is_open and not is_probe):
            return
        _, is_changed = await self._outages.change(
            self._system, lambda circuit: CLOSED if is_probe or not circuit.is_open else None
        )
        if is_changed and present.open_since is not None:
            away = self._outages.clock() - present.open_since
            waiting = await self._outages.waiting(self._system)
            log.info("remote.back", system=self._system, away_s=round(away.total_seconds()), waiting=waiting)

    def _slow_down(self, error: RemoteError) -> None:
        # Not for Invoice Ninja's 400 "Duplicate request", which concerns one record only.
        if isinstance(error, Throttled) and error.status == TOO_MANY_REQUESTS:
            self._pace.halt(time.monotonic() + min(error.retry_after, LONGEST_HALT))

    async def _tell(self, circuit: Circuit, now: datetime) -> None:
        log.error(
            "remote.away",
            system=self._system,
            since=circuit.open_since.isoformat(timespec="seconds") if circuit.open_since else None,
            waiting=await self._outages.waiting(self._system),
            next_try_in_s=round(circuit.seconds_to_probe(now), 1),
            message=circuit.message,
            hint="its events wait and cost nothing; it is tried again by itself",
        )


def _chance() -> float:
    return random.random()  # noqa: S311 - jitter
