"""A Taiga project in memory whose webhooks may be lost, the events that the bridge stored of it, and reconciling."""

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from handlers.errors import NeedsPerson, NotFound
from handlers.event import Event
from handlers.reconcile.taiga import TaigaReconciliation
from handlers.reconcile.taiga_models import Difference, Newest, Report, Scope, Seen
from mappings.taiga.fingerprint import as_webhook
from mappings.taiga.models import WorkItem, WorkKind
from mappings.taiga.webhook import describe, read_webhook
from tests.support.fakes import TAIGA, FakeTaiga, Spoilable
from tests.support.webhook_story import START, Feed, Story, world

MINUTE = timedelta(minutes=1)
EVERYTHING = Scope(rolling=0)


class FakeLists(Spoilable):
    """Taiga's lists: rows without attributes, whose date stands still when only attributes change."""

    def __init__(self, taiga: FakeTaiga) -> None:
        super().__init__()
        self.taiga = taiga
        self.modified: dict[tuple[WorkKind, int], datetime] = {}
        self.hidden: set[int] = set()
        """Projects that our account may not see."""

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Whether our account sees a project."""
        self._begin(f"{kind}s of {project_id} seen")
        return project_id not in self.hidden

    async def closed_items(self, kind: WorkKind, project_id: int) -> AsyncIterator[WorkItem]:
        """All closed items of a project."""
        self._begin(f"closed of {project_id}")
        for item in self._rows(kind, project_id):
            if item.is_closed:
                yield item

    async def items_modified_since(self, kind: WorkKind, project_id: int, since: datetime) -> AsyncIterator[WorkItem]:
        """The items whose row changed since."""
        self._begin(f"recent of {project_id}")
        for item in self._rows(kind, project_id):
            if item.changed_at >= since:
                yield item

    async def with_attributes(self, item: WorkItem) -> WorkItem:
        """A row with its values."""
        self._begin(f"values of {item.id}")
        if (item.kind, item.id) not in self.taiga.values:
            raise NotFound(TAIGA, f"/{item.kind}s/custom-attributes-values/{item.id}", "No such item", status=404)
        return replace(item, attributes=self.taiga.named(item.kind, item.id))

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """An item whole."""
        self._begin(f"item {item_id}")
        return replace(await self.taiga.item(kind, item_id), changed_at=self.modified[kind, item_id])

    def _rows(self, kind: WorkKind, project_id: int) -> list[WorkItem]:
        items = self.taiga.items.items() if project_id not in self.hidden else ()
        mine = [item for key, item in items if key[0] == kind and item.project_id == project_id]
        return [replace(item, changed_at=self.modified[kind, item.id], permalink="") for item in mine]


class FakeSeen:
    """The memory of earlier looks beside the events and links of a board; `save` can be made to fail once."""

    def __init__(self, board: "Board") -> None:
        self.board = board
        self.rows: dict[str, Seen] = {}
        self.lose_next: BaseException | None = None
        self.has_bodies = True

    async def of_project(self, project_id: int, kind: WorkKind) -> Mapping[str, Seen]:
        """What was seen of a project."""
        return {key: row for key, row in self.rows.items() if (row.project_id, row.kind) == (project_id, kind)}

    async def oldest_read(self, project_ids: Collection[int], *, linked: bool, limit: int) -> Sequence[Seen]:
        """Closed items, those that were read longest ago first."""
        held = self.board.linked
        mine = [row for row in self.rows.values() if row.state == "closed" and row.project_id in project_ids]
        fitting = [row for row in mine if (row.subject in held) is linked]
        return sorted(fitting, key=lambda row: row.read_at)[:limit]

    async def linked(self, kind: WorkKind) -> Collection[str]:
        """The subjects with a time entry."""
        return {subject for subject in self.board.linked if subject.startswith(f"taiga:{kind}:")}

    async def linked_unseen(self, kind: WorkKind) -> Collection[str]:
        """Those of them that no look has found."""
        return {subject for subject in await self.linked(kind) if subject not in self.rows}

    async def newest(self, subjects: Collection[str]) -> Mapping[str, Newest]:
        """The newest events."""
        found = {subject: self.board.newest(subject) for subject in subjects}
        return {subject: self._told(event) for subject, event in found.items() if event is not None}

    async def save(self, seen: Collection[Seen]) -> None:
        """Remember them."""
        if seen and self.lose_next is not None:
            error, self.lose_next = self.lose_next, None
            raise error
        self.rows |= {row.subject: row for row in seen}

    def _told(self, event: Event) -> Newest:
        told = read_webhook(event.payload) if self.has_bodies else None
        key = event.subject, event.id
        return Newest(event.id, self.board.statuses[key], told, self.board.codes.get(key, ""))


@dataclass
class FakeSink:
    """Stores what is put in, by its key once."""

    board: "Board"
    settles: bool

    async def enqueue(self, differences: Sequence[Difference]) -> None:
        """Store each as an event, and settle it like a worker."""
        for one in differences:
            if one.key not in self.board.keys:
                self.board.keys.append(one.key)
                await self.board.take(self.board.event_of(one), settles=self.settles)


class Board:
    """One project that is billed at 75 an hour: cards, webhooks, events, time entries."""

    def __init__(self, **project: Any) -> None:
        self.world = world(reads_taiga=True, project=project)
        assert self.world.taiga is not None
        self.taiga = self.world.taiga
        self.lists = FakeLists(self.taiga)
        self.seen = FakeSeen(self)
        self.now = START
        self.keys: list[str] = []
        """The keys of the events that were put in."""
        self.statuses: dict[tuple[str, int], str] = {}
        self.codes: dict[tuple[str, int], str] = {}
        self.progress: list[tuple[str, int]] = []
        self._feeds: dict[str, Feed] = {}
        self._ids = count(1000)
        self._cards = count(1)

    @property
    def linked(self) -> set[str]:
        """The subjects with a time entry."""
        return {link.subject for link in self.world.links.rows.values() if link.kind == "time_entry"}

    def newest(self, subject: str) -> Event | None:
        """The newest stored event of a subject."""
        known = self._feeds[subject].known if subject in self._feeds else []
        return max(known, key=lambda event: (event.occurred_at, event.id), default=None)

    def card(self, hours: object = 2, **fields: Any) -> Story:
        """An open billable task of which no webhook was sent."""
        number = next(self._cards)
        story = Story(id=number, ref=number, subject=f"Task {number}", **fields)
        story.values = {"Billable": True} | ({} if hours is None else {"Duration (Hours)": hours})
        self._show(story)
        self.lists.modified[story.kind, story.id] = self.now
        return story

    def change(self, story: Story, act: Callable[[Story], Event], *, silently: bool = False) -> Event:
        """Somebody changes a card; its webhook is lost unless `tell` is given it. `silently`: the row stands still."""
        if (story.kind, story.id) in self.taiga.values:
            named = self.taiga.named(story.kind, story.id)
            story.values = {key: value for key, value in named.items() if value is not None}
        story.now = self.now
        event = act(story)
        self.now = story.now
        if event.type.endswith(".delete"):
            del self.taiga.items[story.kind, story.id], self.taiga.values[story.kind, story.id]
        else:
            self._show(story)
        if not silently:
            self.lists.modified[story.kind, story.id] = self.now
        return event

    def closed(self, hours: object = 2, **fields: Any) -> Story:
        """A card that was closed, of which no webhook arrived."""
        story = self.card(hours, **fields)
        self.change(story, Story.close)
        return story

    async def tell(self, event: Event) -> None:
        """A webhook arrives and is settled."""
        await self.take(event, settles=True)

    async def take(self, event: Event, *, settles: bool) -> None:
        """Store an event, and settle it like a worker."""
        feed = self._feeds.setdefault(event.subject, Feed(self.world))
        self.statuses[event.subject, event.id] = "received"
        if not settles:
            feed.known.append(event)
            return
        try:
            outcome = await feed.deliver(event)
        except NeedsPerson as error:
            self.statuses[event.subject, event.id] = "dead"
            self.codes[event.subject, event.id] = error.code
        else:
            self.statuses[event.subject, event.id] = type(outcome).__name__.lower()

    def event_of(self, one: Difference) -> Event:
        """The event that tells a difference."""
        text = json.dumps(as_webhook(one.item, one.read_at), default=str)
        payload = json.loads(text, parse_float=Decimal)
        head = describe(payload)
        at = head.occurred_at
        return Event(next(self._ids), "taiga", head.type, one.key, head.subject, at, at, payload)

    async def reconcile(self, scope: Scope = EVERYTHING, *, dry_run: bool = False, settles: bool = True) -> Report:
        """One run, a minute later."""
        self.now += MINUTE
        run = TaigaReconciliation(
            self.lists,
            self.seen,
            self.world.mapping,
            lambda: self.now,
            None if dry_run else FakeSink(self, settles),
            progress=lambda text, number: self.progress.append((text, number)),
        )
        return await run.run(scope)

    def _show(self, story: Story) -> None:
        self.taiga.put(story.item)
