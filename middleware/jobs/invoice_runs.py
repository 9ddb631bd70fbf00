"""Cron ticks: which runs are due by now. Every worker may tick, often: a run has a key, so it begins once."""

from collections.abc import Callable
from datetime import datetime

import structlog

from handlers.invoices.events import run_event
from handlers.ports.events import EventSink
from mappings.config.file import MappingFile
from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import latest_run
from middleware.store.billing.plans import PlanStore
from middleware.store.database import StoreUnavailableError

log = structlog.get_logger()


class Schedule:
    """The runs of one process; what it put into the store once it does not put there again."""

    def __init__(self, mapping: MappingFile, plans: PlanStore, events: EventSink) -> None:
        self._calendars = calendars_of(mapping)
        self._plans = plans
        self._events = events
        self._begun: set[str] = set()

    async def tick(self, now: datetime) -> int:
        """Begin the runs that are due; returns how many were put into the store.

        The last run of each calendar is made up for when it was missed, once. A new calendar has missed nothing.
        """
        begun = 0
        for calendar in self._calendars:
            run = latest_run(calendar, now)
            event = run_event(calendar.name, run.period, run.due_at)
            if event.key in self._begun:
                continue
            if run.due_at >= await self._plans.calendar_known_since(calendar.name, now):
                (enqueued,) = await self._events.enqueue([event])
                log.info("run.due", calendar=calendar.name, period=run.period.name, event_id=enqueued.event_id)
                begun += 1
            self._begun.add(event.key)
        return begun

    async def safe_tick(self, now: datetime) -> None:
        """The same for cron: a store that is away is only noted, the next tick comes in a minute."""
        try:
            await self.tick(now)
        except StoreUnavailableError as error:
            log.warning("store.unreachable", error=str(error), hint="the runs that are due begin with the next tick")


class LiveSchedule:
    """The schedule by the mapping as it is at each tick; what was begun is asked of the store again after a change."""

    def __init__(self, mapping: Callable[[], MappingFile], plans: PlanStore, events: EventSink) -> None:
        self._mapping = mapping
        self._plans = plans
        self._events = events
        self._made_of = mapping()
        self._schedule = Schedule(self._made_of, plans, events)

    async def safe_tick(self, now: datetime) -> None:
        """Begin the runs that are due by now."""
        present = self._mapping()
        if present is not self._made_of:
            self._made_of, self._schedule = present, Schedule(present, self._plans, self._events)
        await self._schedule.safe_tick(now)
