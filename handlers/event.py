"""Events: on their way into the store, and as a handler is given them, all of one subject."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

SCHEDULE = "schedule"
"""The source of the bridge's own events."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """A verified delivery, or an event of our own, on its way into the store.

    `key` is unique within `source`. The event is due `wait` seconds after it was stored.
    """

    source: str
    type: str
    key: str
    subject: str
    occurred_at: datetime
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0


def own_event(
    type_: str, key: str, subject: str, occurred_at: datetime, payload: Mapping[str, Any], *, wait: float = 0.0
) -> NewEvent:
    """An event of the bridge's own."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return NewEvent(SCHEDULE, type_, key, subject, occurred_at, body, wait=wait)


@dataclass(frozen=True, slots=True)
class Enqueued:
    """What became of a new event. `is_due`: a worker should look at it now (new, or a dead one sent again)."""

    event_id: int
    is_duplicate: bool
    is_due: bool


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event. `payload` is the decoded body; numbers with a fraction are `Decimal`.

    `occurred_at` is when it happened at the source (Taiga `date`, Stripe `created`), `received_at` when we stored it.
    `is_fresh` tells that it is looked at for the first time: neither tried before, nor replayed.
    """

    id: int
    source: str
    type: str
    key: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    payload: Mapping[str, Any]
    is_fresh: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """One convergence of a subject: the due events it settles, and the newest event known of the subject.

    A burst of events of one subject is one `Work`. `newest` may be an event that was settled before: an older event
    that arrives late must not undo it. `source` and `type` of the dispatch are those of `newest`.
    """

    subject: str
    due: tuple[Event, ...]
    newest: Event
