"""Puts together a run of `handlers.reconcile_taiga`: Taiga's lists, the memory of earlier looks, the single door."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from handlers.errors import RemoteError
from handlers.reconcile_taiga import Progress, TaigaReconciliation
from handlers.reconcile_world import Difference, Newest, Report, Scope
from mappings.config import MappingFile
from mappings.errors import NotUnderstood
from mappings.models import WorkItem
from mappings.taiga import describe, read_webhook
from mappings.taiga_told import as_webhook
from middleware.clients.jsonbody import read_json, write_json
from middleware.clients.taiga import Taiga
from middleware.ingest import Ingest
from middleware.store.database import Pool
from middleware.store.events import NewEvent
from middleware.store.seen import RunStore, SeenStore

log = structlog.get_logger()

ScopeName = Literal["recent", "all", "manual"]

SOURCE = "taiga"
OVERLAP = timedelta(hours=1)
LONGEST_RECENT = timedelta(days=7)


class AlreadyRunningError(Exception):
    """Another run is under way."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; `ingest` None: a dry run."""

    taiga: Taiga
    mapping: MappingFile
    pool: Pool
    ingest: Ingest | None


class Memory(SeenStore):
    """Implements `handlers.reconcile_world.SeenItems`."""

    async def newest(self, subjects: Collection[str]) -> Mapping[str, Newest]:
        """The newest event of each subject that has any."""
        rows = await self.newest_rows(subjects)
        return {row.subject: Newest(row.id, row.status, _told(row.body)) for row in rows}


class EventDoor:
    """Implements `handlers.reconcile_world.Door`: differences become events of the source `taiga`."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest

    async def put(self, differences: Sequence[Difference]) -> None:
        """Store each as an event, once; they share commits."""
        await asyncio.gather(*(self._ingest.accept(event_of(one)) for one in differences))


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
    tools: Tools, scope: Scope, name: ScopeName, progress: Progress = lambda _text, _count: None
) -> Report:
    """One run, alone in its database and remembered in `reconcile_runs`; a dry run is not remembered.

    Raises:
        AlreadyRunningError: another run is under way.
        RemoteError: Taiga cannot be read.
    """
    runs = RunStore(tools.pool)
    async with runs.alone() as is_alone:
        if not is_alone:
            raise AlreadyRunningError("another run of reconcile taiga is under way; it does the same")
        if tools.ingest is None:
            return await _run(tools, scope, progress)
        run_id = await runs.begin(SOURCE, name)
        try:
            report = await _run(tools, scope, progress)
        except Exception as error:
            await runs.end(run_id, None, f"{type(error).__name__}: {error}")
            raise
        await runs.end(run_id, report, "; ".join(report.problems[:20]))
        return report


async def _run(tools: Tools, scope: Scope, progress: Progress) -> Report:
    door = EventDoor(tools.ingest) if tools.ingest is not None else None
    run = TaigaReconciliation(
        tools.taiga, Memory(tools.pool), tools.mapping, lambda: datetime.now(UTC), door, progress=progress
    )
    return await run.run(scope)


async def recent_scope(pool: Pool, now: datetime) -> Scope:
    """What may have changed since the last run that ended well: with an overlap, at most a week."""
    last = await RunStore(pool).last_good_start(SOURCE, ["recent", "all"])
    since = max(last - OVERLAP, now - LONGEST_RECENT) if last else now - timedelta(days=1)
    return Scope(since=since, rolling=100, most_reads=1000)


async def reconcile_by_clock(tools: Tools, name: ScopeName) -> str:
    """A run that nobody waits for: says in one line how it went, whatever happened at Taiga."""
    now = datetime.now(UTC)
    scope = await recent_scope(tools.pool, now) if name == "recent" else Scope(rolling=500)
    try:
        report = await reconcile(tools, scope, name)
    except AlreadyRunningError as error:
        return str(error)
    except RemoteError as error:
        log.warning(
            "reconcile.failed", source=SOURCE, scope=name, error=str(error), hint="tried again at the next tick"
        )
        return str(error)
    log.info(
        "reconcile.done",
        source=SOURCE,
        scope=name,
        looked_at=report.looked_at,
        items_read=report.items_read,
        differed=len(report.differences),
        postponed=report.postponed,
        problems=list(report.problems[:5]),
    )
    return f"{report.looked_at} looked at, {len(report.differences)} put in"


def _told(body: bytes) -> WorkItem | None:
    try:
        return read_webhook(read_json(body))
    except (NotUnderstood, ValueError, RecursionError):
        return None
