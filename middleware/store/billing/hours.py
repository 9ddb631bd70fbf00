"""What the store knows of all hours: one side of the balance of hours, read in a few statements."""

from decimal import Decimal

import asyncpg

from handlers.ports.invoice_world import HourMemory
from mappings.invoices.balance import ClosedWork, Credit, RecordedEntry, known_works
from middleware.store.database import away_is_unavailable

_ENTRIES = """
SELECT subject, number, remote_id, state -> 'sent' ->> 'hours' AS hours, state -> 'sent' ->> 'client_id' AS client_id,
    state -> 'stored' -> 'time_log' AS time_log, coalesce((state ->> 'is_removed')::boolean, false) AS is_removed,
    coalesce((state -> 'sent' ->> 'ended_at')::bigint, 0) AS ended_at
FROM links WHERE kind = 'time_entry' ORDER BY subject, number
"""
_INVOICED = "SELECT number, remote_id, state ->> 'hours' AS hours FROM links WHERE kind = 'invoiced'"
_CLOSED = """
SELECT subject, state ->> 'name' AS name, state ->> 'client_id' AS client_id, state ->> 'hours' AS hours,
    state ->> 'why' AS why
FROM links WHERE kind = 'closed_work'
"""
_LEFT = "SELECT number FROM links WHERE kind = 'invoice_decision' AND state ->> 'decision' = 'leave'"
# The last word on the credit of each work: open, or closed by a person, who is named before the colon.
_CREDITS = """
SELECT DISTINCT ON (subject) subject, closed_at IS NULL AS is_open, coalesce(closed_why, '') LIKE '%: %' AS is_settled,
    (details ->> 'billed_hours')::numeric - (details ->> 'hours')::numeric AS hours
FROM reviews WHERE kind = 'credit_proposal' ORDER BY subject, id DESC
"""
_LOST = "SELECT subject FROM reviews WHERE kind = 'hours_lost' AND closed_at IS NULL"


async def read_hour_memory(pool: asyncpg.Pool) -> HourMemory:
    """Everything that is remembered of hours.

    Raises:
        StoreUnavailableError: PostgreSQL is away.
    """
    with away_is_unavailable():
        async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            entries = [_entry(row) for row in await connection.fetch(_ENTRIES)]
            invoiced = {
                (row["number"], row["remote_id"]): Decimal(row["hours"]) for row in await connection.fetch(_INVOICED)
            }
            given = {row["subject"]: _credit(row) for row in await connection.fetch(_CREDITS)}
            closed = [_closed(row) for row in await connection.fetch(_CLOSED)]
            left = frozenset(row["number"] for row in await connection.fetch(_LEFT))
            lost = frozenset(row["subject"] for row in await connection.fetch(_LOST))
    return HourMemory(known_works(closed, entries, given), entries, invoiced, left, lost)


def _closed(row: asyncpg.Record) -> ClosedWork:
    return ClosedWork(row["subject"], row["name"], row["client_id"], Decimal(row["hours"]), is_waiting=row["why"])


def _credit(row: asyncpg.Record) -> Credit:
    return Credit(row["hours"] or Decimal(0), is_open=row["is_open"], is_settled=row["is_settled"])


def _entry(row: asyncpg.Record) -> RecordedEntry:
    return RecordedEntry(
        subject=row["subject"],
        number=row["number"],
        task_id=row["remote_id"],
        client_id=row["client_id"] or "",
        hours=Decimal(row["hours"] or 0),
        spans=tuple((start, end) for start, end in row["time_log"] or ()),
        is_removed=row["is_removed"],
        ended_at=row["ended_at"],
        is_pending=row["hours"] is None,
    )
