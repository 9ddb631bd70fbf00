"""The table of payment links."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from handlers.ports.payment_links import LinkPlan, LinkRecord
from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

COLUMNS = (
    "invoice_id, generation, token, invoice_number, client_id, currency, amount, created_at, state, link_id, url, why"
)

PLAN = f"""
INSERT INTO payment_links (invoice_id, generation, invoice_number, client_id, currency, amount)
SELECT $1, coalesce(max(generation), 0) + 1, $2, $3, $4, $5 FROM payment_links WHERE invoice_id = $1
RETURNING {COLUMNS}
"""

SAVE = """
UPDATE payment_links SET state = $3, link_id = $4, url = $5, why = $6, updated_at = now()
WHERE invoice_id = $1 AND generation = $2
"""


class PaymentLinkStore:
    """Implements `ports.payment_links.LinkMemory`; raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def of_invoice(self, invoice_id: str) -> Sequence[LinkRecord]:
        """All links that were ever planned for an invoice, oldest first."""
        query = f"SELECT {COLUMNS} FROM payment_links WHERE invoice_id = $1 ORDER BY generation"
        return await self._read(query, invoice_id)

    async def live(self) -> Sequence[LinkRecord]:
        """All links that are not retired, by invoice."""
        query = f"SELECT {COLUMNS} FROM payment_links WHERE state <> 'retired' ORDER BY invoice_id, generation"
        return await self._read(query)

    async def plan(self, plan: LinkPlan) -> LinkRecord:
        """Store that a link is to be made; gives it its generation and mark."""
        values = (plan.invoice_id, storable(plan.invoice_number), plan.client_id, plan.currency, plan.amount)
        (made,) = await self._read(PLAN, *values)
        return made

    async def save(self, record: LinkRecord) -> None:
        """Store what became of it."""
        values = (record.state, record.link_id, record.url, storable(record.why))
        with away_is_unavailable():
            await self._pool.execute(SAVE, record.invoice_id, record.generation, *values)

    async def _read(self, query: str, *values: Any) -> list[LinkRecord]:
        with away_is_unavailable():
            rows = await self._pool.fetch(query, *values)
        return [LinkRecord(**row) for row in rows]
