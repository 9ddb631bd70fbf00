"""What reconciling Taiga needs from the world, and the records it works with."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from mappings.taiga.models import WorkItem, WorkKind

State = Literal["closed", "open", "gone"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an earlier look found; the marks are those of `mappings.taiga.fingerprint`."""

    subject: str
    project_id: int
    kind: WorkKind
    item_id: int
    state: State
    row_mark: str
    content: str
    puts: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest stored event of a subject; `told` is None when its body cannot be read (any more).

    `code` is its outcome (`mappings.codes`), "" while it has none.
    """

    event_id: int
    status: str
    told: WorkItem | None
    code: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What one run looks at. `since` None: everything; `project_id` None: every mapped project.

    At most `rolling` items that seem unchanged have their attribute values read again, and at most `most_reads` items
    that are new or changed are read; the rest is left to the next run. Of the former those go first that were listed
    and not read since `reread_after` (None: none of them); half of `rolling` always remains for the others.
    Taiga shows an empty list to who may not see a project: `proves_empty` asks, for one request, which of both it is.
    """

    since: datetime | None = None
    project_id: int | None = None
    rolling: int = 200
    most_reads: int = 2000
    reread_after: timedelta | None = None
    proves_empty: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """An item whose present state no event reported: what is enqueued, and why.

    `content` is its mark, `puts` how often the item was put in before, `read_at` when it was read.
    """

    subject: str
    item: WorkItem
    why: str
    content: str
    puts: int
    read_at: datetime

    @property
    def key(self) -> str:
        """The key of its event, the same for the same finding: a run repeated after a crash adds nothing."""
        return f"reconcile:{self.subject}:{self.puts}:{self.content}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run found. `postponed` items are left to the next one; `problems` kept parts from being looked at.

    `unread` were listed, seem unchanged, and were not read again: more of them are there than the scope lets be read.
    """

    looked_at: int
    items_read: int
    postponed: int
    unread: int
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The report as JSON for people and programs."""
        return {
            "looked_at": self.looked_at,
            "items_read": self.items_read,
            "postponed": self.postponed,
            "unread": self.unread,
            "problems": list(self.problems),
            "differences": [
                {
                    "subject": one.subject,
                    "project_id": one.item.project_id,
                    "task": f"#{one.item.ref}: {one.item.subject}",
                    "permalink": one.item.permalink,
                    "why": one.why,
                }
                for one in self.differences
            ],
        }


class TaigaLists(Protocol):
    """Taiga as reconciling sees it."""

    def closed_items(self, kind: WorkKind, project_id: int) -> AsyncIterator[WorkItem]:
        """All closed items of a project, without their attributes."""
        ...

    def items_modified_since(self, kind: WorkKind, project_id: int, since: datetime) -> AsyncIterator[WorkItem]:
        """The items of a project modified since, without their attributes."""
        ...

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Whether our account may see the items of a project at all: Taiga lists nothing for who may not.

        Raises:
            Rejected: there is no such project, or it is closed to our account.
        """
        ...

    async def with_attributes(self, item: WorkItem) -> WorkItem:
        """An item of a list with its attribute values by name: one request."""
        ...

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """The item as it is now, whole."""
        ...


class SeenItems(Protocol):
    """The memory of earlier looks, and what the events and links know."""

    async def of_project(self, project_id: int, kind: WorkKind) -> Mapping[str, Seen]:
        """What was seen of a project, by subject."""
        ...

    async def oldest_read(self, project_ids: Collection[int], *, linked: bool, limit: int) -> Sequence[Seen]:
        """Closed items whose values were not read for longest; with or without a time entry."""
        ...

    async def linked(self, kind: WorkKind) -> Collection[str]:
        """The subjects of this kind that have a time entry."""
        ...

    async def linked_unseen(self, kind: WorkKind) -> Collection[str]:
        """Those of them that no look has found yet."""
        ...

    async def newest(self, subjects: Collection[str]) -> Mapping[str, Newest]:
        """The newest event of each subject that has any."""
        ...

    async def save(self, seen: Collection[Seen]) -> None:
        """Remember them."""
        ...


def gone(item: WorkItem) -> WorkItem:
    """The item, deleted."""
    return replace(item, is_deleted=True, attributes=None)
