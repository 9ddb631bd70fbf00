"""Events of the bridge's own enter the store as all others do: a committed row first, then a wake-up."""

from collections.abc import Callable, Sequence

import orjson

from handlers.invoices.events import SOURCE
from handlers.ports.invoice_world import InternalEvent
from middleware.store.events.events import EventStore, NewEvent

_ROWS_PER_COMMIT = 256


class StoredInternalEvents:
    """Implements `handlers.ports.invoice_world.InternalEvents`; `notify` is told the ids that became due."""

    def __init__(self, store: EventStore, notify: Callable[[Sequence[int]], None]) -> None:
        self._store = store
        self._notify = notify

    async def put(self, events: Sequence[InternalEvent]) -> list[int]:
        """Commit the events; returns their ids in order, also of those that were there already.

        Raises:
            StoreUnavailableError: not all of them are known to be stored.
        """
        ids: list[int] = []
        for start in range(0, len(events), _ROWS_PER_COMMIT):
            stored = await self._store.store([_new(event) for event in events[start : start + _ROWS_PER_COMMIT]])
            ids += [one.event_id for one in stored]
            self._notify([one.event_id for one in stored if one.is_due])
        return ids


def _new(event: InternalEvent) -> NewEvent:
    body = orjson.dumps(dict(event.payload))
    return NewEvent(SOURCE, event.type, event.key, event.subject, event.occurred_at, body, {})
