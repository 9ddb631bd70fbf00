"""The traffic to the remote systems: how fast it may leave, and that a system which fails everybody is left alone.

All workers share one circuit for each system, in PostgreSQL; each keeps a copy, renewed before it claims work. While a
circuit is open nothing is claimed that needs the system: waiting costs nothing. When the pause is over, one request of
one worker tries; its answer opens the way for all. Without PostgreSQL a worker goes by its copy.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from middleware.store.operations.circuits import CircuitStore
from middleware.traffic.circuits import Circuits, utc_now
from middleware.traffic.gate import Gate, TrafficLimits

REFRESH_SECONDS = 1.0


class Traffic:
    """The traffic of one process. `needs` names, for each system, the sources whose events cannot be settled without.

    `interactive`: of the command of a person, see `middleware.traffic.gate`.
    """

    def __init__(
        self,
        store: CircuitStore,
        limits: Mapping[str, TrafficLimits],
        needs: Mapping[str, Sequence[str]],
        clock: Callable[[], datetime] = utc_now,
        *,
        interactive: bool = False,
    ) -> None:
        self.circuits = Circuits(store, needs, clock)
        self._sources = frozenset().union(*needs.values())
        self._gates = {
            system: Gate(system, limit, self.circuits, interactive=interactive) for system, limit in limits.items()
        }
        self._renewed_at = float("-inf")

    def admit(self, system: str) -> Callable[[str], AbstractAsyncContextManager[None]]:
        """What `RemoteClient.through` takes."""
        return self._gates[system].admit

    async def paused_sources(self) -> list[str] | None:
        """Sources whose events are not worth claiming now, because a system that they need is left alone; None: all."""
        await self._renew()
        away = [*self.circuits.paused(), *(name for name, gate in self._gates.items() if gate.is_halted)]
        held = {source for system in away for source in self.circuits.needs.get(system, ())}
        return None if held and held >= self._sources else sorted(held)

    async def paused(self, *systems: str) -> list[str]:
        """Sentences: which of these systems are left alone now, since when and why."""
        await self._renew()
        return [f"{name} is {one.in_words}" for name, one in sorted(self.circuits.paused().items()) if name in systems]

    async def failing(self, *systems: str) -> list[str]:
        """Sentences: which of these systems fail everybody, since when and why; somebody may just try them."""
        await self._renew()
        return [
            f"{name} is {one.in_words}" for name, one in sorted(self.circuits.open_ones().items()) if name in systems
        ]

    async def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed_at < REFRESH_SECONDS:
            return
        self._renewed_at = now
        await self.circuits.renew()
