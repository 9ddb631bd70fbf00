"""What reconciling has in common, whatever the source: one run at a time, remembered; a run by the clock; the door."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Generic, Protocol, TypeVar

import structlog

from handlers.errors import RemoteError
from handlers.event import NewEvent
from handlers.ports.events import EventSink
from middleware.jobs.periodic import NotNowError
from middleware.store.database import Pool
from middleware.store.operations.reconcile import Counts, RunStore
from middleware.traffic.gate import in_no_hurry
from middleware.traffic.traffic import Outages

log = structlog.get_logger()

AGAIN_IN = timedelta(minutes=15)
"""When a run by the clock is tried again that could not read a system, or found another one under way."""

PROBLEMS_KEPT, PROBLEMS_LOGGED = 20, 5


class AlreadyRunningError(Exception):
    """Another run is under way."""


class Report(Counts, Protocol):
    """What a run of any source found."""

    @property
    def problems(self) -> Sequence[str]: ...  # noqa: D102 - sentences: what could not be looked at


_Report = TypeVar("_Report", bound=Report)
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


async def by_clock(source: str, scope: str, look: Callable[[], Awaitable[Report]]) -> str:
    """A run that nobody waits for: says in one line how it went.

    Raises:
        NotNowError: a system cannot be read at present, or another run is under way.
    """
    try:
        report = await look()
    except AlreadyRunningError as error:
        raise NotNowError(str(error), AGAIN_IN) from error
    except RemoteError as error:
        log.warning("reconcile.failed", source=source, scope=scope, error=str(error), again_in_s=AGAIN_IN.seconds)
        raise NotNowError(str(error), AGAIN_IN) from error
    log.info(
        "reconcile.done",
        source=source,
        scope=scope,
        looked_at=report.looked_at,
        items_read=report.items_read,
        differed=len(report.differences),
        postponed=report.postponed,
        problems=list(report.problems[:PROBLEMS_LOGGED]),
    )
    return f"{report.looked_at} looked at, {len(report.differences)} put in"


def unless_away(
    outages: Outages, systems: Sequence[str], name: str, act: Callable[[], Awaitable[str]]
) -> Callable[[], Awaitable[str]]:
    """`act`, put off without a single request while one of the systems is left alone; else done without any hurry."""

    async def act_or_not() -> str:
        away = await outages.left_alone(*systems)
        if away:
            reason = f"put off: {'; '.join(away)}"
            log.info("periodic.put_off", name=name, reason=reason, again_in_s=AGAIN_IN.seconds)
            raise NotNowError(reason, AGAIN_IN)
        before = in_no_hurry.set(True)
        try:
            return await act()
        finally:
            in_no_hurry.reset(before)

    return act_or_not
