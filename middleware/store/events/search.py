"""Finding events for people: filters, pages by key, and work that stays bounded however many events are stored.

Conditions that an index serves narrow the search; the others are tried on at most `WINDOW` rows for each page. A page
then says how far back it looked, and the next one goes on from there.
"""

import re
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from itertools import count

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.events.events import COLUMNS, EventRow
from middleware.store.text import storable

WINDOW = 10_000
MOST_WINDOWS = 20
# Statuses that partial indexes serve.
RARE_STATUSES = ("received", "retrying", "processing", "dead", "discarded")
# Ids are given in the order of arrival, but for transactions that ran at the same time.
SLACK = timedelta(minutes=5)

# Ids and arrival go together, so that the first id of a moment is found by halving.
FIRST_ID_SINCE = """
WITH RECURSIVE halves AS (
    SELECT coalesce(min(id), 0) AS low, coalesce(max(id), 0) + 1 AS high FROM events
    UNION ALL
    SELECT CASE WHEN middle.received_at < $1 THEN middle.id + 1 ELSE low END,
        CASE WHEN middle.received_at < $1 THEN high ELSE (low + high) / 2 END
    FROM halves, LATERAL (
        SELECT id, received_at FROM events WHERE id >= (low + high) / 2 ORDER BY id LIMIT 1
    ) AS middle
    WHERE low < high
)
SELECT low FROM halves ORDER BY high - low LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; empty values do not matter. `since` is inclusive, `until` exclusive; both by arrival."""

    source: str = ""
    type: str = ""
    status: str = ""
    subject: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    reason: str = ""
    code: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it lets everything pass."""
        return all(not getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, newest first. `next_before` continues behind it (None at the end).

    `looked_back_to` is set when the search stopped before it filled the page.
    """

    rows: list[EventRow]
    next_before: int | None
    looked_back_to: datetime | None = None


@dataclass(slots=True)
class _Conditions:
    """Conditions with their parameters; those that an index serves come first."""

    indexed: list[str] = field(default_factory=list)
    indexed_values: list[object] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    tried_values: list[object] = field(default_factory=list)

    def narrow(self, condition: str, *values: object) -> None:
        """Add a condition that an index serves; each `$` stands for the next value."""
        self.indexed.append(_numbered(condition, len(self.indexed_values)))
        self.indexed_values += values

    def attempt(self, condition: str, *values: object) -> None:
        """Add a condition that is tried row by row, after all narrowing ones."""
        self.tried.append(_numbered(condition, len(self.indexed_values) + len(self.tried_values)))
        self.tried_values += values

    def window(self) -> str:
        """The rows that are looked at, newest first."""
        return f"FROM events WHERE {' AND '.join(self.indexed) or 'true'} ORDER BY id DESC"

    def query(self, limit: int) -> str:
        """The rows that pass."""
        if not self.tried:
            return f"SELECT {COLUMNS} {self.window()} LIMIT {limit}"
        return (
            f"SELECT * FROM (SELECT {COLUMNS} {self.window()} LIMIT {WINDOW}) AS looked_at"
            f" WHERE {' AND '.join(self.tried)} ORDER BY id DESC LIMIT {limit}"
        )


def _numbered(condition: str, known: int) -> str:
    numbers = count(known + 1)
    return re.sub(r"\$", lambda _: f"${next(numbers)}", condition)


class EventSearch:
    """Raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, wanted: EventFilter, *, before_id: int | None = None, limit: int = 50) -> EventPage:
        """One page of the events that pass the filter."""
        with away_is_unavailable():
            conditions = await self._conditions(wanted, before_id)
            values = conditions.indexed_values + conditions.tried_values
            rows = [EventRow(**row) for row in await self._pool.fetch(conditions.query(limit + 1), *values)]
            if len(rows) > limit:
                return EventPage(rows[:limit], rows[limit - 1].id)
            if not conditions.tried:
                return EventPage(rows, None)
            end = await self._pool.fetchrow(
                f"SELECT id, received_at {conditions.window()} OFFSET {WINDOW - 1} LIMIT 1", *conditions.indexed_values
            )
        return EventPage(rows, end["id"], end["received_at"]) if end else EventPage(rows, None)

    async def matching(
        self, wanted: EventFilter, *, up_to_id: int | None, limit: int, windows: int = MOST_WINDOWS
    ) -> EventPage:
        """The newest events that pass the filter, none newer than `up_to_id`, within so many windows."""
        found: list[EventRow] = []
        before = None if up_to_id is None else up_to_id + 1
        for _ in range(windows):
            page = await self.page(wanted, before_id=before, limit=limit - len(found))
            found += page.rows
            before = page.next_before
            if before is None or len(found) >= limit:
                return EventPage(found, before)
        return EventPage(found, before, page.looked_back_to)

    async def _conditions(self, wanted: EventFilter, before_id: int | None) -> _Conditions:
        conditions = _Conditions()
        if before_id is not None:
            conditions.narrow("id < $", before_id)
        if wanted.subject:
            conditions.narrow("subject = $", wanted.subject)
        if wanted.type:
            conditions.narrow("type = $", wanted.type)
        if wanted.status in RARE_STATUSES:
            # Written out, so that a plan made for any value still knows the partial index.
            conditions.narrow(f"status = '{wanted.status}'")
        if wanted.since is not None:
            conditions.narrow("id >= $", await self._first_id(wanted.since - SLACK))
        if wanted.until is not None:
            conditions.narrow("id < $", await self._first_id(wanted.until + SLACK))
        _add_tried(conditions, wanted)
        return conditions

    async def _first_id(self, moment: datetime) -> int:
        return int(await self._pool.fetchval(FIRST_ID_SINCE, moment))


def _add_tried(conditions: _Conditions, wanted: EventFilter) -> None:
    if wanted.source:
        conditions.attempt("source = $", wanted.source)
    if wanted.status and wanted.status not in RARE_STATUSES:
        conditions.attempt("status = $", wanted.status)
    if wanted.since is not None:
        conditions.attempt("received_at >= $", wanted.since)
    if wanted.until is not None:
        conditions.attempt("received_at < $", wanted.until)
    if wanted.code:
        conditions.attempt("outcome_code = $", wanted.code)
    if wanted.reason:
        conditions.attempt("reason ILIKE $", f"%{_literal(wanted.reason)}%")
    if wanted.text:
        # Looking through one text costs less than half of looking through five.
        conditions.attempt("concat_ws(E'\\n', reason, subject, type, key, hint) ILIKE $", f"%{_literal(wanted.text)}%")


def _literal(text: str) -> str:
    """The text as a part of a LIKE pattern that matches nothing but itself."""
    return re.sub(r"([\\%_])", r"\\\1", storable(text))
