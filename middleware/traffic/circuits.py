"""The circuits as one process knows them: a copy of what all processes share in PostgreSQL."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from middleware.store.database import StoreUnavailableError
from middleware.store.operations.circuits import CLOSED, Circuit, CircuitStore


def utc_now() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


class Circuits:
    """One circuit for each system. `needs` names, for each, the sources whose events cannot be settled without it."""

    def __init__(
        self, store: CircuitStore, needs: Mapping[str, Sequence[str]], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.store = store
        self.needs = needs
        self.clock = clock
        self._known: Mapping[str, Circuit] = {}

    def circuit(self, system: str) -> Circuit:
        """What this process knows."""
        return self._known.get(system, CLOSED)

    def paused(self) -> dict[str, Circuit]:
        """The systems that are paused now: no request may even try."""
        now = self.clock()
        return {name: one for name, one in self._known.items() if one.is_open and not one.probe_is_due(now)}

    def open_ones(self) -> dict[str, Circuit]:
        """The systems that fail everybody."""
        return {name: one for name, one in self._known.items() if one.is_open}

    async def renew(self) -> None:
        """Copy what all know; the copy stays as it is while PostgreSQL is away."""
        with suppress(StoreUnavailableError):
            self._known = await self.store.all()

    async def change(self, system: str, decide: Callable[[Circuit], Circuit | None]) -> tuple[Circuit, bool]:
        """Change a circuit for all processes, or for this one while PostgreSQL is away."""
        try:
            circuit, is_changed = await self.store.change(system, decide)
        except StoreUnavailableError:
            present = self.circuit(system)
            decided = decide(present)
            circuit, is_changed = decided or present, decided not in (None, present)
        self._known = {**self._known, system: circuit}
        return circuit, is_changed

    async def waiting(self, system: str) -> int | None:
        """How many events wait for a system; None when PostgreSQL does not say."""
        try:
            return await self.store.waiting(self.needs.get(system, ()))
        except StoreUnavailableError:
            return None
