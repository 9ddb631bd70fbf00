"""The time entry of a subject: its link, the task it points to, and how the link's state stores both."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from handlers.ports.context import Link
from mappings.invoiceninja.tasks import Task
from mappings.time.models import TimeEntry
from mappings.values.hours import seconds_to_hours

Standing = Literal["live", "cancelled", "lost"]


@dataclass(frozen=True, slots=True)
class Billed:
    """The invoice on which an entry stands. `hours` are those that it bills, None when that is not known.

    `standing`: a live line bills it; or the invoice is cancelled; or Invoice Ninja calls it invoiced without such a
    line, and no plan sees it.
    """

    invoice_id: str
    name: str
    standing: Standing = "live"
    hours: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A link and the entry it points to; `task` is None when Invoice Ninja holds none (never made, or purged).

    `billed` is the invoice that bills it, None when it is free.
    """

    link: Link
    task: Task | None
    billed: Billed | None = None

    @property
    def is_locked(self) -> bool:
        """Whether an invoice bills it: its hours stand, even when somebody deleted the entry (the line stays)."""
        return self.billed is not None

    @property
    def is_live(self) -> bool:
        """Whether it would be billed."""
        return self.task is not None and not self.task.is_deleted

    @property
    def hours(self) -> Decimal:
        """The hours it stands for: what its invoice bills, else what we sent, else what its log says."""
        if self.billed is not None and self.billed.hours is not None:
            return self.billed.hours
        sent = self.link.state.get("sent")
        if sent:
            return Decimal(sent["hours"])
        log = self.task.spans if self.task else ()
        return seconds_to_hours(sum(end - start for start, end in log))


@dataclass(frozen=True, slots=True)
class Place:
    """The client and project of an entry in Invoice Ninja. `is_moved`: a person chose others than we had sent."""

    client_id: str
    project_id: str
    is_moved: bool = False


def place_of(held: Held, task: Task, entry: TimeEntry, client_id: str) -> Place:
    """Where the entry belongs: where it should go, or where a person moved it since we wrote it.

    A move of a person stands until Taiga or mappings.json name another place than before.
    """
    sent, stored = held.link.state.get("sent"), held.link.state.get("stored")
    if sent and stored and (sent["client_id"], sent["project_id"]) == (client_id, entry.project_id):
        was_stored = (stored["client_id"], stored["project_id"])
        if (task.client_id, task.project_id) != was_stored or held.link.state.get("is_moved"):
            return Place(task.client_id, task.project_id, is_moved=True)
    return Place(client_id, entry.project_id)


def has_stored_log(link: Link, task: Task) -> bool:
    """Whether the entry shows the time that we know it was given; not after a write whose answer was lost."""
    stored = link.state.get("stored")
    return stored is not None and stored["time_log"] == stored_as_json(task)["time_log"]


_ROUNDED = Decimal("0.01")
"""Hours by which the quantity of a line may differ from those it stands for: Invoice Ninja and people round it."""


def hours_on_line(link: Link, task: Task, quantity: Decimal) -> Decimal:
    """The hours that an invoice line of this quantity bills: those of the log, or those we sent, if it rounds these."""
    of_log = seconds_to_hours(sum(end - start for start, end in task.spans))
    sent = link.state.get("sent")
    candidates = [of_log, Decimal(sent["hours"])] if sent else [of_log]
    nearest = min(candidates, key=lambda hours: abs(hours - quantity))
    return nearest if abs(nearest - quantity) <= _ROUNDED else quantity


def is_as_sent(held: Held, task: Task, entry: TimeEntry, client_id: str) -> bool:
    """Whether the server holds what we want: exactly, or as it stored just this (it rounds)."""
    sent = held.link.state.get("sent")
    if sent == sent_as_json(entry, client_id) and held.link.state.get("stored") == stored_as_json(task):
        return True
    return (
        task.description == entry.description
        and task.rate == entry.rate
        and task.client_id == client_id
        and task.project_id == entry.project_id
        and task.spans == ((entry.started_at, entry.ended_at),)
    )


def rounding_remark(task: Task, entry: TimeEntry) -> str:
    """What to say where Invoice Ninja stored another time than was sent; the hours that were sent are billed."""
    sent, stored = entry.ended_at - entry.started_at, sum(end - start for start, end in task.spans)
    if stored == sent:
        return ""
    return f" (Invoice Ninja shows {seconds_to_hours(stored)} h, because it rounds; {entry.hours} h are billed)"


def sent_as_json(entry: TimeEntry, client_id: str) -> dict[str, Any]:
    """What we asked for, as it is kept in a link."""
    return {
        "description": entry.description,
        "client_id": client_id,
        "project_id": entry.project_id,
        "rate": str(entry.rate),
        "raw_hours": str(entry.raw_hours),
        "hours": str(entry.hours),
        "started_at": entry.started_at,
        "ended_at": entry.ended_at,
    }


def stored_as_json(task: Task) -> dict[str, Any]:
    """What the server made of it, as it is kept in a link."""
    return {
        "description": task.description,
        "client_id": task.client_id,
        "project_id": task.project_id,
        "rate": str(task.rate.normalize()),
        "time_log": [list(span) for span in task.spans],
    }
