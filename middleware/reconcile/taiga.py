"""Puts together a run of `handlers.reconcile.taiga`: Taiga's lists, the memory of earlier looks, the single door."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from handlers.event import NewEvent
from handlers.ports.events import EventSink
from handlers.reconcile.taiga import Progress, TaigaReconciliation
from handlers.reconcile.taiga_models import Difference, Newest, Report, Scope
from mappings.config.file import MappingFile
from mappings.errors import NotUnderstood
from mappings.taiga.fingerprint import as_webhook
from mappings.taiga.models import WorkItem
from mappings.taiga.webhook import describe, read_webhook
from middleware.clients.http.json_codec import read_json, write_json
from middleware.clients.taiga import Taiga
from middleware.reconcile.runs import DifferenceEvents, alone_and_remembered
from middleware.store.database import Pool
from middleware.store.operations.reconcile import RunStore, SeenStore

ScopeName = Literal["recent", "all", "manual"]

SOURCE = "taiga"
OVERLAP = timedelta(hours=1)
LONGEST_RECENT = timedelta(days=7)
LATELY = timedelta(days=3)
REREAD_AFTER = timedelta(hours=1)
"""Attributes are typed soon after closing, and changing them moves no date: recent work is read again this often."""


@dataclass(frozen=True, slots=True)
class TaigaTools:
    """What a run works with; `sink` None: a dry run."""

    taiga: Taiga
    mapping: MappingFile
    pool: Pool
    sink: EventSink | None


class Memory(SeenStore):
    """Implements `handlers.reconcile.taiga_models.SeenItems`."""

    async def newest(self, subjects: Collection[str]) -> Mapping[str, Newest]:
        """The newest event of each subject that has any."""
        rows = await self.newest_rows(subjects)
        return {row.subject: Newest(row.id, row.status, _told(row.body), row.outcome_code) for row in rows}


def event_of(difference: Difference) -> NewEvent:
    """The event that tells the state of an item, in the shape of a webhook."""
    payload = as_webhook(difference.item, difference.read_at)
    head = describe(payload)
    return NewEvent(
        source=SOURCE,
        type=head.type,
        key=difference.key,
        subject=head.subject,
        occurred_at=head.occurred_at,
        body=write_json(payload),
        headers={"x-reconciled-because": difference.why},
    )


async def reconcile(
    tools: TaigaTools,
    scope: Scope,
    name: ScopeName,
    progress: Progress = lambda _text, _count: None,
    *,
    waits: bool = False,
) -> Report:
    """One run; see `middleware.reconcile.runs.alone_and_remembered`.

    Raises:
        AlreadyRunningError: another run is under way.
        RemoteError: Taiga cannot be read.
    """
    sink = DifferenceEvents(tools.sink, event_of) if tools.sink is not None else None
    run = TaigaReconciliation(
        tools.taiga, Memory(tools.pool), tools.mapping, lambda: datetime.now(UTC), sink, progress=progress
    )
    is_dry = sink is None
    return await alone_and_remembered(tools.pool, SOURCE, name, lambda: run.run(scope), is_dry=is_dry, waits=waits)


async def recent_scope(pool: Pool, now: datetime) -> Scope:
    """What may have changed since the last run that ended well, at most a week, at least the last three days."""
    last = await RunStore(pool).last_good_start(SOURCE, ["recent", "all"])
    since = max(last - OVERLAP, now - LONGEST_RECENT) if last else now
    return Scope(min(since, now - LATELY), rolling=100, most_reads=1000, reread_after=REREAD_AFTER, proves_empty=False)


def _told(body: bytes) -> WorkItem | None:
    try:
        return read_webhook(read_json(body))
    except (NotUnderstood, ValueError, RecursionError):
        return None
