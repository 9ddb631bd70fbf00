"""Finds unbilled entries whose rate is another one by now, and enqueues what makes them so."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from handlers.invoices.plan import world_of
from handlers.ports.context import Context
from handlers.ports.events import EventSink
from handlers.time.apply_rates import rates_event
from mappings.time.recorded import read_recorded
from mappings.time.repricing import Repriced, is_from, reprice
from middleware.reconcile.taiga import Memory
from middleware.store.billing.links import LinkStore
from middleware.store.database import Pool

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Change:
    """An entry at its new rate; `newest_at` is when the newest event of its work happened."""

    entry: Repriced
    newest_at: datetime


async def find_changes(context: Context, pool: Pool, first_day: date | None, project_id: int | None) -> list[Change]:
    """The unbilled entries that cost something else at the rates of now, by client and number.

    Args:
        context: with Invoice Ninja, which says what is unbilled.
        pool: of the store.
        first_day: only work that was finished on this day or later.
        project_id: only work of this Taiga project.

    Raises:
        RemoteError: Invoice Ninja failed.
        StoreUnavailableError: PostgreSQL is away.
    """
    unbilled = {task.id for task in await world_of(context).books.unbilled_tasks()}
    links = [link for link in await LinkStore(pool).time_entries() if link.remote_id in unbilled]
    changes: list[Change] = []
    for start in range(0, len(links), _BATCH):
        batch = links[start : start + _BATCH]
        newest = await Memory(pool).newest([link.subject for link in batch])
        for link in batch:
            recorded, known = read_recorded(link.state), newest.get(link.subject)
            item = known.told if known is not None else None
            if recorded is None or item is None or project_id not in (None, item.project_id):
                continue
            rules, sent = context.mapping.rules_for(item.project_id), link.state["sent"]
            if not rules.is_mapped or not is_from(sent, first_day, rules.rules.timezone):
                continue
            if (entry := reprice((link.subject, link.number), sent, recorded, item, rules)) is not None:
                changes.append(Change(entry, item.changed_at))
    return sorted(changes, key=lambda one: (one.entry.client_id, one.entry.number))


async def enqueue_changes(changes: Sequence[Change], sink: EventSink, now: datetime) -> int:
    """Let the workers settle them; returns how many pieces of work there are.

    Raises:
        StoreUnavailableError: PostgreSQL is away.
    """
    subjects = {one.entry.subject: one.newest_at for one in changes}
    await sink.enqueue([rates_event(subject, at, now) for subject, at in subjects.items()])
    return len(subjects)
