"""What reconciling has in common, whatever the source: one run at a time, remembered; a run by the clock; the door."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import structlog

from handlers.event import NewEvent
from handlers.ports.events import EventSink
from middleware.store.database import Pool
from middleware.store.operations.reconcile import Counts, RunStore

log = structlog.get_logger()

PROBLEMS_KEPT = 20


class AlreadyRunningError(Exception):
    """Another run is under way."""


class RunReport(Counts, Protocol):
    """What a run of any source found."""

    @property
    def problems(self) -> Sequence[str]: ...  # noqa: D102 - sentences: what could not be looked at


_Report = TypeVar("_Report", bound=RunReport)
_Difference = TypeVar("_Difference")


class DifferenceEvents(Generic[_Difference]):
    """Enqueues differences as events; implements `DifferenceSink`."""

    def __init__(self, sink: EventSink, event_of: Callable[[_Difference], NewEvent]) -> None:
        self._sink = sink
        self._event_of = event_of

    async def enqueue(self, differences: Sequence[_Difference]) -> None:
        """Store each as an event, once."""
        await self._sink.enqueue([self._event_of(one) for one in differences])


async def alone_and_remembered(
    pool: Pool, source: str, scope: str, look: Callable[[], Awaitable[_Report]], *, is_dry: bool, waits: bool = False
) -> _Report:
    """One run, alone in its database and remembered in `reconcile_runs`; a dry run is not remembered.

    `waits`: for its turn after another run, before any that begins later.

    Raises:
        AlreadyRunningError: another run of the source is under way.
        RemoteError: a system cannot be read.
    """
    runs = RunStore(pool)
    async with runs.alone(source, waits=waits) as is_alone:
        if not is_alone:
            raise AlreadyRunningError(f"another run of reconcile {source} is under way: this one looked at nothing")
        if is_dry:
            return await look()
        run_id = await runs.begin(source, scope)
        try:
            report = await look()
        except Exception as error:
            await runs.end(run_id, None, f"{type(error).__name__}: {error}")
            raise
        await runs.end(run_id, report, "; ".join(report.problems[:PROBLEMS_KEPT]))
        return report
