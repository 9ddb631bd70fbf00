"""The records of claims, and their rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from middleware.store.text import storable, storable_json


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """One event row in the hands of this worker. `attempts` counts this attempt."""

    id: int
    source: str
    type: str
    key: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    series_started_at: datetime
    attempts: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """All unfinished events of one subject, and the newest event known of it (which may be finished).

    `hold` names the connection whose lock protects the subject: with that connection the claim ends.
    """

    subject: str
    due: tuple[ClaimedEvent, ...]
    newest: ClaimedEvent
    newest_is_due: bool
    hold: int


@dataclass(frozen=True, slots=True)
class StatusChange:
    """How one event leaves this attempt. `next_attempt_at` is for `retrying` only; `is_free`: it does not count."""

    event_id: int
    status: str
    code: str
    reason: str
    hint: str = ""
    next_attempt_at: datetime | None = None
    is_free: bool = False


@dataclass(frozen=True, slots=True)
class Doubt:
    """An attempt of a subject after which a request may still be carried out: `why` says which, `event_id` for what."""

    subject: str
    event_id: int
    why: str


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One attempt, for the `attempts` table."""

    event_id: int
    number: int
    started_at: datetime
    duration_ms: int
    outcome: str
    code: str
    reason: str
    calls: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def read_event(row: asyncpg.Record) -> ClaimedEvent:
    """The event of a row with the columns of `claims.EVENT_COLUMNS`."""
    return ClaimedEvent(
        id=row["id"],
        source=row["source"],
        type=row["type"],
        key=row["key"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        series_started_at=row["series_started_at"],
        attempts=row["attempts"],
        body=bytes(row["body"]),
    )


def group(rows: Sequence[asyncpg.Record], finished: Mapping[int, ClaimedEvent], hold: int) -> list[Claim]:
    """The claims of rows in the order of their events; `finished` are the newest events that are not among them."""
    by_subject: dict[str, list[ClaimedEvent]] = {}
    newest_id: dict[str, int | None] = {}
    for row in rows:
        by_subject.setdefault(row["subject"], []).append(read_event(row))
        newest_id[row["subject"]] = row["newest_id"]
    claims = []
    for subject, due in by_subject.items():
        known = {event.id: event for event in due}
        newest = known.get(newest_id[subject] or 0) or finished.get(newest_id[subject] or 0) or due[-1]
        claims.append(Claim(subject, tuple(due), newest, newest_is_due=newest.id in known, hold=hold))
    return claims


def change_columns(changes: Sequence[StatusChange]) -> tuple[list[object], ...]:
    """The first arguments of `claims.SETTLE`."""
    return (
        [item.event_id for item in changes],
        [item.status for item in changes],
        [storable(item.reason) for item in changes],
        [storable(item.hint) for item in changes],
        [item.next_attempt_at for item in changes],
        [int(item.is_free) for item in changes],
        [str(item.code) for item in changes],
    )


def attempt_columns(attempts: Sequence[AttemptRecord]) -> tuple[list[object], ...]:
    """The other arguments of `claims.SETTLE`."""
    return (
        [item.event_id for item in attempts],
        [item.number for item in attempts],
        [item.started_at for item in attempts],
        [item.duration_ms for item in attempts],
        [item.outcome for item in attempts],
        [storable(item.reason) for item in attempts],
        [json.dumps(storable_json(list(item.calls))) for item in attempts],
        [str(item.code) for item in attempts],
    )
