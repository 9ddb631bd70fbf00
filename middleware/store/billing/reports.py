"""Sums and lists for people: recorded hours, payments, and what waits for a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import asyncpg

from middleware.store.billing.mirror import IS_FREED
from middleware.store.database import away_is_unavailable


@dataclass(frozen=True, slots=True)
class UnbilledTime:
    """Hours of a client that no invoice bills, and when the oldest of them ended."""

    client_id: str
    hours: Decimal
    entries: int
    since: datetime


@dataclass(frozen=True, slots=True)
class TimeSum:
    """Hours of one client, project and person in a span; `unbilled_hours` are those no invoice bills."""

    client_id: str
    project_id: str
    taiga_project_id: int | None
    person: str
    hours: Decimal
    unbilled_hours: Decimal
    entries: int


@dataclass(frozen=True, slots=True)
class TimeLine:
    """One time entry."""

    subject: str
    number: str
    remote_id: str
    client_id: str
    project_id: str
    taiga_project_id: int | None
    person: str
    description: str
    hours: Decimal
    raw_hours: Decimal
    rate: Decimal
    ended_at: datetime
    invoice_id: str
    invoice_number: str


@dataclass(frozen=True, slots=True)
class TimeWanted:
    """Which entries: those that ended in a span, of one client, person or Taiga project when given."""

    since: datetime
    until: datetime
    client_id: str = ""
    person: str = ""
    taiga_project_id: int | None = None


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A piece of work that has no time entry, with its newest telling outcome."""

    event_id: int
    subject: str
    status: str
    outcome_code: str
    reason: str
    hint: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Received:
    """Money of a span in one currency, in its minor units."""

    currency: str
    amount: int
    refunded: int
    payments: int


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A stored plan of invoices: how many, how many of them are made, and whether a review waits for it.

    An invoice whose work is free again, because it was deleted, does not count as made.
    """

    id: str
    period: Mapping[str, str]
    created_at: datetime
    invoices: int
    made: int
    waits: bool


@dataclass(frozen=True, slots=True)
class DueRow:
    """The newest order to make the invoices of a client from a plan."""

    client_id: str
    event_id: int
    status: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class ReviewCount:
    """How many things of one kind wait for a person, since when, and the oldest of them in words."""

    kind: str
    number: int
    since: datetime
    summary: str


_LINE = (
    "subject, number, remote_id, client_id, project_id, taiga_project_id, person, description, hours, raw_hours, rate,"
    " ended_at, invoice_id, invoice_number"
)
_WANTED = (
    "ended_at >= $1 AND ended_at < $2 AND ($3 = '' OR client_id = $3) AND ($4 = '' OR person = $4)"
    " AND ($5::bigint IS NULL OR taiga_project_id = $5)"
)
# Outcomes that say nothing of the work itself.
_TELLING = (
    "outcome_code NOT IN ('taken_together', 'own_echo', 'superseded')"
    " AND status IN ('ignored', 'dead', 'retrying', 'discarded', 'processed')"
)
# Work that is open or gone is not asked about.
_ASKED = (
    "status IN ('ignored', 'dead', 'retrying') AND source = 'taiga' AND subject ~ '^taiga:(task|userstory|issue):'"
    " AND outcome_code NOT IN ('not_closed', 'deleted_in_taiga', 'type_not_billed', 'type_not_handled')"
)
# Asked row by row, newest first, so that the search ends when a page is full: a join would look at the whole window.
_UNRECORDED = f"""
SELECT id AS event_id, subject, status, outcome_code, reason, hint, received_at FROM (
    SELECT id, source, subject, status, outcome_code, reason, hint, received_at, occurred_at FROM events
    WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
) AS looked_at
WHERE {_ASKED} AND {_TELLING}
    AND (SELECT true FROM recorded_time r WHERE r.subject = looked_at.subject LIMIT 1) IS NULL
    AND (
        SELECT true FROM events n WHERE n.subject = looked_at.subject
            AND (n.occurred_at, n.id) > (looked_at.occurred_at, looked_at.id) AND {_TELLING}
        LIMIT 1
    ) IS NULL
ORDER BY id DESC LIMIT $3
"""
UNRECORDED_WINDOW = 10_000


class Reports:
    """Reads only; every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def unbilled(self) -> list[UnbilledTime]:
        """What is recorded and not invoiced, by client, most hours first."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT client_id, sum(hours) AS hours, count(*) AS entries, min(ended_at) AS since FROM recorded_time"
                " WHERE invoice_id = '' GROUP BY client_id ORDER BY sum(hours) DESC, client_id LIMIT 50"
            )
        return [UnbilledTime(**row) for row in rows]

    async def time_sums(self, wanted: TimeWanted) -> list[TimeSum]:
        """Recorded hours by client, project and person."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT client_id, project_id, taiga_project_id, person, sum(hours) AS hours,"
                " coalesce(sum(hours) FILTER (WHERE invoice_id = ''), 0) AS unbilled_hours, count(*) AS entries"
                f" FROM recorded_time WHERE {_WANTED} GROUP BY 1, 2, 3, 4 ORDER BY sum(hours) DESC",
                *_values(wanted),
            )
        return [TimeSum(**row) for row in rows]

    async def time_lines(
        self, wanted: TimeWanted, after: tuple[datetime, str, str] | None, limit: int
    ) -> list[TimeLine]:
        """Time entries, the newest work first; `after` is (ended_at, subject, number) of the last line of a page."""
        ended_at, subject, number = after or (None, "", "")
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT {_LINE} FROM recorded_time WHERE {_WANTED}"
                " AND ($6::timestamptz IS NULL OR ended_at < $6 OR (ended_at = $6 AND (subject, number) > ($7, $8)))"
                " ORDER BY ended_at DESC, subject, number LIMIT $9",
                *_values(wanted),
                ended_at,
                subject,
                number,
                limit,
            )
        return [TimeLine(**row) for row in rows]

    async def of_invoice(self, invoice_id: str) -> list[TimeLine]:
        """The time entries that an invoice bills."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT {_LINE} FROM recorded_time WHERE invoice_id = $1 AND invoice_id <> ''"
                " ORDER BY ended_at, number",
                invoice_id,
            )
        return [TimeLine(**row) for row in rows]

    async def unrecorded(self, before_id: int | None, limit: int) -> list[Unrecorded]:
        """Closed work without a time entry, and why: among the last `UNRECORDED_WINDOW` events before an id."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_UNRECORDED, before_id, UNRECORDED_WINDOW, limit)
        return [Unrecorded(**row) for row in rows]

    async def received(self, since: datetime) -> list[Received]:
        """Money that was paid since a moment, by currency."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT upper(currency) AS currency, sum(amount)::bigint AS amount, sum(refunded)::bigint AS refunded,"
                " count(*) AS payments FROM payments WHERE paid_at >= $1 AND currency <> '' GROUP BY 1 ORDER BY 2 DESC",
                since,
            )
        return [Received(**row) for row in rows]

    async def newest_payments(
        self, status: str, after: tuple[datetime, str] | None, limit: int
    ) -> list[tuple[datetime, str]]:
        """When payments were first heard of and their identities, newest first; `after` is a page's last one."""
        moment, identity = after or (None, "")
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT created_at, identity FROM payments WHERE ($1 = '' OR status = $1) AND ($2::timestamptz IS NULL"
                " OR created_at < $2 OR (created_at = $2 AND identity > $3))"
                " ORDER BY created_at DESC, identity LIMIT $4",
                status,
                moment,
                identity,
                limit,
            )
        return [(row["created_at"], row["identity"]) for row in rows]

    async def plans(self, limit: int) -> list[PlanRow]:
        """The newest plans of invoices."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT p.id, p.period, p.created_at, count(i.plan_id) AS invoices,"
                f" count(*) FILTER (WHERE i.invoice_id <> '' AND NOT {IS_FREED}) AS made,"
                " EXISTS (SELECT 1 FROM reviews r"
                "   WHERE r.kind = 'invoice_plan' AND r.closed_at IS NULL AND r.details ->> 'plan_id' = p.id) AS waits"
                " FROM (SELECT id, period, created_at FROM invoice_plans ORDER BY created_at DESC, id LIMIT $1) p"
                " LEFT JOIN planned_invoices i ON i.plan_id = p.id GROUP BY p.id, p.period, p.created_at"
                " ORDER BY p.created_at DESC, p.id",
                limit,
            )
        return [PlanRow(**row) for row in rows]

    async def dues(self, plan_id: str, client_ids: Sequence[str]) -> dict[str, DueRow]:
        """What became of the newest order to make the invoices of each client from this plan."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT DISTINCT ON (client_id) client_id, id AS event_id, status, reason, hint"
                " FROM unnest($2::text[]) AS client_id JOIN events ON subject = 'invoice:' || client_id"
                " WHERE source = 'schedule' AND type = 'invoice.due'"
                " AND starts_with(key, 'due:' || $1 || ':' || client_id || ':') ORDER BY client_id, id DESC",
                plan_id,
                list(client_ids),
            )
        return {row["client_id"]: DueRow(**row) for row in rows}

    async def open_reviews(self) -> list[ReviewCount]:
        """What needs a person, by kind."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT kind, count(*) AS number, min(opened_at) AS since,"
                " (array_agg(summary ORDER BY id))[1] AS summary"
                " FROM reviews WHERE closed_at IS NULL GROUP BY kind ORDER BY kind"
            )
        return [ReviewCount(**row) for row in rows]


def _values(wanted: TimeWanted) -> tuple[object, ...]:
    return wanted.since, wanted.until, wanted.client_id, wanted.person, wanted.taiga_project_id
