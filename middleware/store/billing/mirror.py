"""What Invoice Ninja's books said when they were read last: for pages, never to decide anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import asyncpg

from mappings.invoiceninja.models import NOT_OWED, Invoice
from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

_SAVE = """
INSERT INTO book_invoices (invoice_id, number, client_id, status_id, amount, balance, date, due_date, is_deleted,
    updated_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::date[],
    $8::date[], $9::boolean[], $10::bigint[])
ON CONFLICT (invoice_id) DO UPDATE SET number = excluded.number, client_id = excluded.client_id,
    status_id = excluded.status_id, amount = excluded.amount, balance = excluded.balance, date = excluded.date,
    due_date = excluded.due_date, is_deleted = excluded.is_deleted, updated_at = excluded.updated_at
"""
_COLUMNS = """
    invoice_id, number, i.client_id, coalesce(c.name, '') AS client_name, coalesce(c.currency, '') AS currency,
    status_id, amount, balance, date AS day, due_date, is_deleted,
    ARRAY(SELECT DISTINCT status FROM payments p WHERE p.invoice_id = i.invoice_id AND p.invoice_id <> '') AS payments
FROM book_invoices i LEFT JOIN book_clients c ON c.client_id = i.client_id
"""
_OPEN = "NOT is_deleted AND balance > 0 AND status_id IN ('2', '3')"
_NARROWED = {
    "": "true",
    "open": "balance > 0 AND status_id IN ('2', '3')",
    "overdue": "balance > 0 AND status_id IN ('2', '3') AND due_date < $4",
    "draft": "status_id = '1'",
    "paid": "status_id = '4'",
    "cancelled": "status_id IN ('5', '6')",
}
# Of `planned_invoices i`: its work is not free when another invoice, which is not deleted itself, bills a part of it.
IS_DELETED = "EXISTS (SELECT 1 FROM book_invoices b WHERE b.invoice_id = i.invoice_id AND b.is_deleted)"
IS_FREED = f"""
CASE WHEN {IS_DELETED} THEN NOT EXISTS (
    SELECT 1 FROM jsonb_array_elements(i.content -> 'entries') AS e JOIN links l ON l.kind = 'invoiced'
        AND l.subject = coalesce(nullif(e ->> 'subject', ''), 'invoiceninja:task:' || (e ->> 'task_id'))
        AND l.number = e ->> 'number'
    WHERE l.remote_id <> i.invoice_id
        AND NOT EXISTS (SELECT 1 FROM book_invoices o WHERE o.invoice_id = l.remote_id AND o.is_deleted)
) ELSE false END
"""
STATES = tuple(name for name in _NARROWED if name)

READING = "read the books"
"""What reading them is called in the time table."""


@dataclass(frozen=True, slots=True)
class BookInvoice:
    """An invoice as it was last read from Invoice Ninja. `payments` are our words for the payments of it."""

    invoice_id: str
    number: str
    client_id: str
    client_name: str
    currency: str
    status_id: str
    amount: Decimal
    balance: Decimal
    day: date | None
    due_date: date | None
    is_deleted: bool
    payments: Sequence[str]


@dataclass(frozen=True, slots=True)
class OpenSum:
    """What is owed in a currency, by how many days it is overdue: `bucket` 0 is not due yet, then up to 30, 60, 90."""

    currency: str
    bucket: int
    balance: Decimal
    invoices: int


def _is_dead(invoice: Invoice) -> bool:
    return invoice.is_deleted or invoice.status_id in NOT_OWED


class BookStore:
    """Raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def read_at(self) -> datetime | None:
        """As of when the books are known: when the last read that came to its end began; None before the first one."""
        with away_is_unavailable():
            found: datetime | None = await self._pool.fetchval("SELECT read_at FROM book_reads")
        return found

    async def changed_through(self) -> int:
        """The newest change known when the books were read to their end last (unix seconds of Invoice Ninja's clock).

        0 before the first such read: what a read that was cut off has left is no sign that older changes are known.
        """
        with away_is_unavailable():
            return int(await self._pool.fetchval("SELECT coalesce(max(changed_through), 0) FROM book_reads"))

    async def read_to_the_end(self, began_at: datetime) -> None:
        """Remember that all changes up to now are known, as of the beginning of this read."""
        with away_is_unavailable():
            await self._pool.execute(
                "INSERT INTO book_reads (read_at, changed_through)"
                " SELECT $1, coalesce(max(updated_at), 0) FROM book_invoices ON CONFLICT (is_only) DO UPDATE"
                " SET read_at = excluded.read_at, changed_through = excluded.changed_through",
                began_at,
            )

    async def save_clients(self, clients: Sequence[tuple[str, str, str]]) -> None:
        """Remember (id, name, currency) of all clients."""
        with away_is_unavailable():
            await self._pool.execute(
                "INSERT INTO book_clients (client_id, name, currency)"
                " SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ON CONFLICT (client_id) DO UPDATE"
                " SET name = excluded.name, currency = excluded.currency",
                [client_id for client_id, _, _ in clients],
                [storable(name) for _, name, _ in clients],
                [currency for _, _, currency in clients],
            )

    async def changed_standing(self, invoices: Sequence[Invoice]) -> list[Invoice]:
        """Those that are known and bill something now that they did not bill before, or the other way round."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT invoice_id, is_deleted OR status_id IN ('5', '6') AS is_dead FROM book_invoices"
                " WHERE invoice_id = ANY ($1)",
                [one.id for one in invoices],
            )
        was_dead = {row["invoice_id"]: row["is_dead"] for row in rows}
        return [one for one in invoices if was_dead.get(one.id, _is_dead(one)) != _is_dead(one)]

    async def save_invoices(self, invoices: Sequence[Invoice]) -> None:
        """Remember how these invoices are."""
        with away_is_unavailable():
            await self._pool.execute(
                _SAVE,
                [one.id for one in invoices],
                [storable(one.number) for one in invoices],
                [one.client_id for one in invoices],
                [one.status_id for one in invoices],
                [one.amount for one in invoices],
                [one.balance for one in invoices],
                [_day(one.date) for one in invoices],
                [_day(one.due_date) for one in invoices],
                [one.is_deleted for one in invoices],
                [one.updated_at for one in invoices],
            )

    async def client_names(self) -> dict[str, str]:
        """The names of all clients by id."""
        with away_is_unavailable():
            rows = await self._pool.fetch("SELECT client_id, name FROM book_clients WHERE name <> ''")
        return {row["client_id"]: row["name"] for row in rows}

    async def find(self, invoice_id: str) -> BookInvoice | None:
        """The invoice by id."""
        with away_is_unavailable():
            row = await self._pool.fetchrow(f"SELECT {_COLUMNS} WHERE invoice_id = $1", invoice_id)
        return BookInvoice(**row) if row else None

    async def deleted_of_plan(self, plan_id: str) -> dict[tuple[str, str], bool]:
        """The invoices of a plan that were made and deleted since, by client id and scope.

        True: their work is free again, as far as is known here; False: another invoice bills it by now.
        """
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT client_id, scope, {IS_FREED} AS is_free FROM planned_invoices i"
                f" WHERE plan_id = $1 AND invoice_id <> '' AND {IS_DELETED}",
                plan_id,
            )
        return {(row["client_id"], row["scope"]): row["is_free"] for row in rows}

    async def page(
        self, state: str, today: date, after: tuple[date | None, str] | None, limit: int
    ) -> list[BookInvoice]:
        """Invoices, the newest first, in one of `STATES` ("" for all); `after` is (date, id) of a page's last one."""
        day, invoice_id = after or (None, "")
        # Undated ones stand at the end, as if they were of the first day of all.
        place = "$1::text = '' OR (coalesce(date, '-infinity'), invoice_id) < (coalesce($2::date, '-infinity'), $1)"
        with away_is_unavailable():
            rows = await self._pool.fetch(
                f"SELECT {_COLUMNS} WHERE NOT is_deleted AND ({_NARROWED.get(state, 'true')}) AND ({place})"
                " AND $4::date IS NOT NULL ORDER BY coalesce(date, '-infinity') DESC, invoice_id DESC LIMIT $3",
                invoice_id,
                day,
                limit,
                today,
            )
        return [BookInvoice(**row) for row in rows]

    async def open_sums(self, today: date) -> list[OpenSum]:
        """What is owed by age."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT coalesce(currency, '') AS currency, CASE WHEN due_date IS NULL OR due_date >= $1 THEN 0"
                " ELSE least(($1 - due_date - 1) / 30 + 1, 4) END AS bucket, sum(balance) AS balance,"
                " count(*) AS invoices FROM book_invoices i LEFT JOIN book_clients c ON c.client_id = i.client_id"
                f" WHERE {_OPEN} GROUP BY 1, 2 ORDER BY 1, 2",
                today,
            )
        return [OpenSum(**row) for row in rows]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
