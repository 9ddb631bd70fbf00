"""Which invoice runs are due by now. Every worker may look, often: a run has a key, so it begins once."""

from collections.abc import Callable
from datetime import datetime

import structlog

from handlers.invoices.events import run_event
from handlers.ports.context import Context
from handlers.ports.events import EventSink
from mappings.config.file import MappingFile
from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import latest_run
from middleware.jobs.periodic import Job, every
from middleware.store.billing.plans import PlanStore
from middleware.store.database import Pool

log = structlog.get_logger()

NAME = "invoice runs"


class DueRuns:
    """The runs of one process; what it enqueued once it does not enqueue again until the mapping changes."""

    def __init__(self, plans: PlanStore, sink: EventSink) -> None:
        self._plans = plans
        self._sink = sink
        self._mapping: MappingFile | None = None
        self._begun: set[str] = set()

    async def begin(self, mapping: MappingFile, now: datetime) -> int:
        """Begin the runs that are due; returns how many were enqueued.

        The last run of each calendar is made up for when it was missed, once. A new calendar has missed nothing.

        Raises:
            StoreUnavailableError: PostgreSQL is away; the others begin next time.
        """
        if mapping is not self._mapping:
            self._mapping, self._begun = mapping, set()
        number = 0
        for calendar in calendars_of(mapping):
            run = latest_run(calendar, now)
            event = run_event(calendar.name, run.period, run.due_at)
            if event.key in self._begun:
                continue
            if run.due_at >= await self._plans.calendar_known_since(calendar.name, now):
                (enqueued,) = await self._sink.enqueue([event])
                log.info("run.due", calendar=calendar.name, period=run.period.name, event_id=enqueued.event_id)
                number += 1
            self._begun.add(event.key)
        return number


def invoice_jobs(context: Callable[[], Context], pool: Pool) -> list[Job]:
    """A look every minute, each calendar in its own time zone; nothing where no invoices are made."""
    invoicing = context().invoicing
    if invoicing is None:
        return []
    runs = DueRuns(PlanStore(pool), invoicing.events)

    async def begin() -> str:
        present = context()
        return f"{await runs.begin(present.mapping, present.clock())} begun"

    return [Job(NAME, every(1), begin, begins_soon=True)]
