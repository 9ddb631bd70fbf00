"""One item that reconciling with Taiga reads whole, and what it finds."""

from dataclasses import dataclass
from datetime import datetime

from handlers.reconcile.taiga_models import Newest, Seen, gone
from mappings.taiga.models import WorkItem, WorkKind


def subject_of(kind: WorkKind, item_id: int) -> str:
    """How the events call an item."""
    return f"taiga:{kind}:{item_id}"


@dataclass(frozen=True, slots=True)
class Look:
    """One item to be read whole: `listed` is its row when a list has just returned it."""

    kind: WorkKind
    item_id: int
    seen: Seen | None
    listed: WorkItem | None = None

    @property
    def subject(self) -> str:
        """Its subject, as the events have it."""
        return subject_of(self.kind, self.item_id)


@dataclass(frozen=True, slots=True)
class Found:
    """An item as it was read; None stands for one that is gone."""

    look: Look
    item: WorkItem | None
    read_at: datetime


def last_told(look: Look, newest: Newest | None) -> WorkItem | None:
    """An item that is gone, as it was last reported."""
    if look.listed is not None:
        return gone(look.listed)
    return gone(newest.told) if newest is not None and newest.told is not None else None
