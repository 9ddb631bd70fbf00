"""What a handler is given: the stored events of one subject."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


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
