"""What reconciling with Stripe asks the store: the payments that are known, and the events that tell of them."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime

import asyncpg

from handlers.ports.billing import PaymentRecord
from handlers.reconcile.stripe_models import Known
from middleware.store.billing.payments import RECORD_COLUMNS, PaymentStore, record_of
from middleware.store.database import away_is_unavailable

UNFINISHED = (
    "SELECT DISTINCT ON (subject) subject AS name, id, status, reason FROM events"
    " WHERE subject = ANY ($1::text[]) AND finished_at IS NULL ORDER BY subject, id DESC"
)
TOLD = "SELECT key AS name, id, status, reason FROM events WHERE source = 'stripe' AND key = ANY ($1::text[])"
# Their money never arrived, or arrives with payments of their own.
MONEYLESS = ("unpaid", "processing", "failed", "overdue", "canceled", "by_its_payments", "settled_otherwise")
PAID_BETWEEN = (
    f"SELECT {RECORD_COLUMNS} FROM payments WHERE paid_at >= $1 AND ($2::timestamptz IS NULL OR paid_at < $2)"
    " AND currency <> '' AND status <> ALL ($3::text[]) AND identity > $4 ORDER BY identity LIMIT $5"
)
PAGE = 500
INSTALLED = "SELECT min(applied_at) FROM migrations"


class PaymentEvents(PaymentStore):
    """Implements `stripe_models.Records`; raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self._events = pool

    async def unfinished(self, subjects: Collection[str]) -> Mapping[str, Known]:
        """An event of each subject that is not finished, if there is one."""
        return await self._known(UNFINISHED, subjects)

    async def told(self, keys: Collection[str]) -> Mapping[str, Known]:
        """The events of these keys."""
        return await self._known(TOLD, keys)

    async def paid_between(self, begin: datetime, end: datetime | None) -> AsyncIterator[PaymentRecord]:
        """The records of money that arrived in a span, by identity, a page at a time."""
        after = ""
        while True:
            with away_is_unavailable():
                rows = await self._events.fetch(PAID_BETWEEN, begin, end, list(MONEYLESS), after, PAGE)
            for row in rows:
                yield record_of(row)
            if len(rows) < PAGE:
                return
            after = rows[-1]["identity"]

    async def installed_at(self) -> datetime:
        """When this database was made: what happened before it was nobody's to record."""
        with away_is_unavailable():
            moment: datetime = await self._events.fetchval(INSTALLED)
        return moment

    async def _known(self, query: str, names: Collection[str]) -> Mapping[str, Known]:
        with away_is_unavailable():
            rows = await self._events.fetch(query, list(names))
        return {row["name"]: Known(row["id"], row["status"], row["reason"]) for row in rows}
