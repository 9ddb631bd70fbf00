"""What reconciling with Stripe asks the store: the payments that are known, and the events that tell of them."""

from collections.abc import Collection, Mapping
from datetime import datetime

import asyncpg

from handlers.reconcile.stripe_models import Known
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import away_is_unavailable

UNFINISHED = (
    "SELECT DISTINCT ON (subject) subject AS name, id, status, reason FROM events"
    " WHERE subject = ANY ($1::text[]) AND finished_at IS NULL ORDER BY subject, id DESC"
)
TOLD = "SELECT key AS name, id, status, reason FROM events WHERE source = 'stripe' AND key = ANY ($1::text[])"
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

    async def installed_at(self) -> datetime:
        """When this database was made: what happened before it was nobody's to record."""
        with away_is_unavailable():
            moment: datetime = await self._events.fetchval(INSTALLED)
        return moment

    async def _known(self, query: str, names: Collection[str]) -> Mapping[str, Known]:
        with away_is_unavailable():
            rows = await self._events.fetch(query, list(names))
        return {row["name"]: Known(row["id"], row["status"], row["reason"]) for row in rows}
