"""The one door into the store of events, as handlers see it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from handlers.event import Enqueued, NewEvent

_Difference_contra = TypeVar("_Difference_contra", contravariant=True)


class EventSink(Protocol):
    """Where every event enters: webhooks, runs, decisions of people, rechecks, what reconciling found."""

    async def enqueue(self, events: Sequence[NewEvent]) -> Sequence[Enqueued]:
        """Commit them and say, in order, what became of each; those that are there already stay as they are."""
        ...


class DifferenceSink(Protocol[_Difference_contra]):
    """Where reconciling enqueues its differences."""

    async def enqueue(self, differences: Sequence[_Difference_contra]) -> None:
        """Store each as an event of its subject, once."""
        ...
