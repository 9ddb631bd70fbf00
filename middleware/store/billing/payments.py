"""The table of payments: what is known of each, and which events tell of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from handlers.event import Event
from handlers.ports.billing import Candidate, PaymentRecord
from middleware.clients.http.json_codec import read_json
from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

STATUSES = (
    *("unmatched", "needs_person", "ignored", "own_gateway", "paid", "partial", "disputed", "partially_refunded"),
    *("refunded", "returned", "unpaid", "processing", "failed", "overdue", "settled_otherwise", "canceled"),
    "by_its_payments",
)
"""The words that a payment's status may be, those first that people look for."""

_NAMES = tuple(field.name for field in fields(PaymentRecord))
RECORD_COLUMNS = ", ".join(_NAMES)

UPSERT = (
    f"INSERT INTO payments ({RECORD_COLUMNS}) VALUES ({', '.join(f'${index}' for index in range(1, len(_NAMES) + 1))})"
    f" ON CONFLICT (identity) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES[1:])},"
    " updated_at = now()"
)

# Marked before they are looked at: one that fails every time must not keep the others from their turn.
_NEXT = f"""
UPDATE payments SET updated_at = now() WHERE identity IN (
    SELECT identity FROM payments
    WHERE status = $1 AND invoice_id <> '' AND created_at > now() - $2::interval
    ORDER BY updated_at, identity LIMIT $3 FOR UPDATE SKIP LOCKED
) RETURNING {RECORD_COLUMNS}
"""


class PaymentStore:
    """Implements `handlers.ports.billing.PaymentMemory`, and answers what people ask.

    Every method raises `StoreUnavailableError` while PostgreSQL is away.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find(self, identity: str) -> PaymentRecord | None:
        """The record of a payment."""
        rows = await _rows(self._pool, f"SELECT {RECORD_COLUMNS} FROM payments WHERE identity = $1", identity)
        return record_of(rows[0]) if rows else None

    async def many(self, identities: Collection[str]) -> Mapping[str, PaymentRecord]:
        """The records of these payments, as far as there are any."""
        rows = await _rows(
            self._pool, f"SELECT {RECORD_COLUMNS} FROM payments WHERE identity = ANY ($1)", list(identities)
        )
        return {row["identity"]: record_of(row) for row in rows}

    async def save(self, record: PaymentRecord) -> None:
        """Insert or replace the record of a payment."""
        await _rows(self._pool, UPSERT, *(_column(name, getattr(record, name)) for name in _NAMES))

    async def list(self, *, status: str | None = None, limit: int = 100, after: str = "") -> list[PaymentRecord]:
        """Records by identity, of one status when given; `after` continues behind a page."""
        query = (
            f"SELECT {RECORD_COLUMNS} FROM payments WHERE ($1::text IS NULL OR status = $1) AND identity > $2"
            " ORDER BY identity LIMIT $3"
        )
        return [record_of(row) for row in await _rows(self._pool, query, status, after, limit)]

    async def of_invoice(self, invoice_id: str) -> Sequence[PaymentRecord]:
        """All records of one Invoice Ninja invoice."""
        query = f"SELECT {RECORD_COLUMNS} FROM payments WHERE invoice_id = $1 ORDER BY identity"
        return [record_of(row) for row in await _rows(self._pool, query, invoice_id)]

    async def missed(self, statuses: Collection[str]) -> Sequence[PaymentRecord]:
        """The records of these statuses that name an invoice."""
        query = f"SELECT {RECORD_COLUMNS} FROM payments WHERE status = ANY ($1) AND invoice_id <> '' ORDER BY identity"
        return [record_of(row) for row in await _rows(self._pool, query, list(statuses))]

    async def next_looks(self, status: str, known_for: timedelta, limit: int) -> Sequence[PaymentRecord]:
        """Records of a status that name an invoice, the one written or given out longest ago first; see `_NEXT`."""
        return [record_of(row) for row in await _rows(self._pool, _NEXT, status, known_for, limit)]

    async def clients_of(self, customer: str) -> frozenset[str]:
        """The Invoice Ninja clients whose invoices this Stripe customer has paid."""
        query = "SELECT DISTINCT client_id FROM payments WHERE customer = $1 AND customer <> '' AND payment_id <> ''"
        return frozenset(row["client_id"] for row in await _rows(self._pool, query, customer))

    async def last_posted(self, client_id: str, amount: Decimal) -> datetime | None:
        """When a payment of this client and amount was last sent to Invoice Ninja."""
        query = (
            "SELECT max(posted_at) AS moment FROM payments"
            " WHERE client_id = $1 AND posted_at IS NOT NULL AND posted_amount = $2"
        )
        (row,) = await _rows(self._pool, query, client_id, amount)
        moment: datetime | None = row["moment"]
        return moment

    async def link(self, subject: str, payment: str) -> None:
        """Remember that the events of a Stripe invoice tell about a payment."""
        query = "INSERT INTO payment_aliases (subject, payment) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        await _rows(self._pool, query, subject, payment)

    async def payments_of(self, subject: str) -> Sequence[str]:
        """The subjects of the payments that are linked to a Stripe invoice."""
        query = "SELECT payment FROM payment_aliases WHERE subject = $1 ORDER BY payment"
        return [row["payment"] for row in await _rows(self._pool, query, subject)]

    async def invoices_of(self, payment: str) -> Sequence[str]:
        """The subjects of the Stripe invoices that are linked to a payment."""
        query = "SELECT subject FROM payment_aliases WHERE payment = $1 ORDER BY subject"
        return [row["subject"] for row in await _rows(self._pool, query, payment)]

    async def our_links(self, ids: Collection[str]) -> Mapping[str, str]:
        """The invoice ids that payment links of ours were made for."""
        query = "SELECT link_id, invoice_id FROM payment_links WHERE link_id = ANY ($1::text[]) AND link_id <> ''"
        rows = await _rows(self._pool, query, [*ids]) if ids else []
        return {row["link_id"]: row["invoice_id"] for row in rows}


class EventHistoryStore:
    """Implements `handlers.ports.billing.EventHistory`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of_subjects(self, subjects: Collection[str]) -> Sequence[Event]:
        """The events of these subjects that tell something, oldest first: not our own, nor those a person discarded.

        An event whose body was removed has an empty payload.
        """
        query = (
            "SELECT id, source, type, key, subject, occurred_at, received_at, body FROM events"
            " WHERE subject = ANY ($1::text[]) AND status <> 'discarded' AND source <> 'schedule'"
            " ORDER BY occurred_at, id"
        )
        return [_event(dict(row)) for row in await _rows(self._pool, query, list(subjects))]


async def _rows(pool: asyncpg.Pool, query: str, *arguments: Any) -> list[asyncpg.Record]:
    with away_is_unavailable():
        rows: list[asyncpg.Record] = await pool.fetch(query, *arguments)
    return rows


def _event(row: dict[str, Any]) -> Event:
    body = row.pop("body")
    return Event(payload=read_json(body) if body else {}, **row)


def record_of(row: asyncpg.Record) -> PaymentRecord:
    """A row of `RECORD_COLUMNS` as a record."""
    values: dict[str, Any] = dict(row)
    values["notes"] = tuple(values["notes"])
    values["candidates"] = tuple(Candidate(**candidate) for candidate in values["candidates"])
    return PaymentRecord(**values)


def _column(name: str, value: Any) -> Any:
    if name == "candidates":
        return [asdict(candidate) for candidate in value]
    if name == "notes":
        return list(value)
    return storable(value) if isinstance(value, str) else value
