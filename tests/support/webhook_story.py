"""The life of one Taiga item as its webhooks tell it, and the events as a handler is given them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from handlers.event import Event, Work
from handlers.outcome import Outcome
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from mappings.taiga.models import WorkItem, WorkKind
from mappings.taiga.webhook import read_webhook
from tests.support.fakes import FakeTaiga, World

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
PROJECT: dict[str, Any] = {
    "taiga_project_id": 1,
    "invoiceninja_client_id": "acme",
    "invoiceninja_project_id": "site",
    "default_hourly_rate": 75,
}


def world(*, reads_taiga: bool = False, project: dict[str, Any] | None = None, **parts: Any) -> World:
    """A world whose project 1 is billed to client acme, project site, at 75 an hour."""
    own = PROJECT | (project or {})
    other = {"taiga_project_id": 2, "invoiceninja_client_id": "other", "default_hourly_rate": 50}
    mapping = parse_mapping(json.dumps({"project_mappings": [own, other], **parts}))
    return World(mapping, taiga=FakeTaiga() if reads_taiga else None)


@dataclass
class Story:
    """One item: every `tell` is a change with its webhook. The state is that of Taiga at the end of the story."""

    kind: WorkKind = "task"
    id: int = 7
    ref: int = 3
    subject: str = "Build login form"
    project_id: int = 1
    is_closed: bool = False
    finished_at: datetime | None = None
    assignee: str | None = "ann"
    assignee_id: int | None = None
    values: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    now: datetime = START

    @property
    def name(self) -> str:
        """The subject of its events."""
        return f"taiga:{self.kind}:{self.id}"

    def tell(self, *, by: int = 7, action: str = "change", diff: dict[str, Any] | None = None, **state: Any) -> Event:
        """Change the item and send its webhook, a minute after the last one."""
        self.now += timedelta(minutes=1)
        for name, value in state.items():
            setattr(self, name, value)
        payload = self.payload(action, by, diff or {})
        event = Event(
            id=len(self.events) + 1,
            source="taiga",
            type=f"{self.kind}.{action}",
            key=f"{self.name}:{len(self.events)}",
            subject=self.name,
            occurred_at=self.now,
            received_at=self.now,
            payload=json.loads(json.dumps(payload), parse_float=Decimal),
        )
        self.events.append(event)
        return event

    def type(self, **values: Any) -> Event:
        """Type into custom attributes: billable, hours, rate, client or status; None clears."""
        names = {"billable": "Billable", "hours": "Duration (Hours)", "rate": "Hourly Rate"}
        names |= {"client": "Client Invoice ID", "status": "Invoice Status"}
        changed = self.values | {names[key]: value for key, value in values.items()}
        return self.tell(values={key: value for key, value in changed.items() if value is not None})

    def close(self) -> Event:
        """Move the item into a closed status."""
        finished = self.finished_at or self.now + timedelta(minutes=1)
        return self.tell(is_closed=True, finished_at=finished, diff={"status": {"from": "New", "to": "Closed"}})

    def reopen(self) -> Event:
        """Move it back."""
        return self.tell(is_closed=False, finished_at=None, diff={"status": {"from": "Closed", "to": "New"}})

    def delete(self) -> Event:
        """Delete the item: its attributes are null in the webhook."""
        return self.tell(action="delete")

    def echo(self) -> Event:
        """The webhook of our own write-back."""
        changes = {"custom_attributes": {"new": [], "deleted": [], "changed": [{"name": "Invoice Status"}]}}
        return self.tell(by=99, diff=changes)

    def payload(self, action: str, by: int, diff: dict[str, Any]) -> dict[str, Any]:
        """The webhook as Taiga sends it, as far as anybody reads it."""
        finished = self.finished_at.isoformat() if self.finished_at else None
        data: dict[str, Any] = {
            "id": self.id,
            "ref": self.ref,
            "subject": self.subject,
            "permalink": f"http://front/project/site/{self.kind}/{self.ref}",
            "project": {"id": self.project_id, "name": f"Project {self.project_id}"},
            "status": {"name": "Closed" if self.is_closed else "New", "is_closed": self.is_closed},
            "assigned_to": {"id": self.assignee_id, "username": self.assignee} if self.assignee else None,
            "custom_attributes_values": None if action == "delete" else self.values,
        }
        data |= {"finish_date": finished, "is_closed": self.is_closed} if self.kind == "userstory" else {}
        data |= {} if self.kind == "userstory" else {"finished_date": finished}
        head = {"action": action, "type": self.kind, "by": {"id": by}, "date": self.now.isoformat()}
        return {**head, "data": data, **({"change": {"diff": diff}} if action == "change" else {})}

    @property
    def item(self) -> WorkItem:
        """The item as it is now."""
        return replace(read_webhook(self.payload("change", 7, {})), attributes=self.values)


@dataclass
class Feed:
    """Delivers events to the handler as the processor would: with the newest event known, whenever it was settled."""

    world: World
    known: list[Event] = field(default_factory=list)

    async def deliver(self, *events: Event, is_fresh: bool = True) -> Outcome:
        """One convergence for these events, taken together."""
        due = tuple(replace(event, is_fresh=is_fresh) for event in sorted(events, key=_age))
        ids = {event.id for event in self.known}
        self.known += [event for event in due if event.id not in ids]
        newest = max(self.known, key=_age)
        return await dispatch(Work(due[0].subject, due, newest), self.world.context)

    async def told(self, story: Story) -> Outcome:
        """Taiga stands as the story ends (when it is read at all), and its last event is delivered."""
        show(self.world, story)
        return await self.deliver(story.events[-1])

    async def all(self, story: Story, order: Iterable[Event]) -> Sequence[Outcome]:
        """Deliver one event after the other in this order; Taiga stands as the story ends."""
        show(self.world, story)
        return [await self.deliver(event) for event in order]


def show(of: World, story: Story) -> None:
    """Let the fake Taiga, if there is one, show the item as the story ends."""
    if of.taiga is None:
        return
    if story.events and story.events[-1].type.endswith(".delete"):
        of.taiga.items.pop((story.kind, story.id), None)
        of.taiga.values.pop((story.kind, story.id), None)
    else:
        of.taiga.put(story.item)


def _age(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.id
