"""The last balance of each kind, for the overview and for alerts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg

from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

_SAVE = """
INSERT INTO balances (kind, made_at, difference, summary, content) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (kind) DO UPDATE SET made_at = excluded.made_at, difference = excluded.difference,
    summary = excluded.summary, content = excluded.content
"""


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """One balance: `summary` says in a sentence how it stands, `difference` is 0 when everything adds up."""

    kind: str
    made_at: datetime
    difference: Decimal
    summary: str
    content: Mapping[str, Any]


class BalanceStore:
    """Raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save(self, row: BalanceRow) -> None:
        """Keep it in place of the one before."""
        with away_is_unavailable():
            await self._pool.execute(
                _SAVE, row.kind, row.made_at, row.difference, storable(row.summary), dict(row.content)
            )

    async def all(self) -> list[BalanceRow]:
        """The last of each kind."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT kind, made_at, difference, summary, content FROM balances ORDER BY kind"
            )
        return [BalanceRow(**row) for row in rows]
