"""Plans of invoice runs, and what the store knows about the time in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import asyncpg
import orjson

from handlers.ports.invoice_world import HourMemory, Invoiced, Planned
from mappings.errors import NotUnderstood
from mappings.invoiceninja.models import Invoice
from mappings.invoices.models import (
    CreditProposal,
    InvoicePlan,
    LeftOut,
    PlannedInvoice,
    TimeLink,
    Unresolved,
)
from mappings.invoices.plan_json import invoice_as_json, invoice_from_json, period_as_json, period_from_json
from mappings.values.fields import take_optional
from middleware.store.billing.hours import read_hour_memory
from middleware.store.database import away_is_unavailable
from middleware.store.text import storable

_ROWS = 100
"""Planned invoices per statement: some have many lines."""
_IDS = 5_000
_MOST_UNRESOLVED = 10_000

_SAVE = """
INSERT INTO planned_invoices (plan_id, client_id, scope, content)
SELECT $1, client_id, scope, content::jsonb
FROM unnest($2::text[], $3::text[], $4::text[]) AS p (client_id, scope, content)
ON CONFLICT DO NOTHING
"""
_MADE = """
INSERT INTO planned_invoices (plan_id, client_id, scope, content, invoice_id, invoice_number, amount, note, made_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT (plan_id, client_id, scope) DO UPDATE SET invoice_id = excluded.invoice_id,
    invoice_number = excluded.invoice_number, amount = excluded.amount, note = excluded.note, made_at = now()
"""
# Each part reads a partial index of its own: the events that are done are never looked through.
_UNRESOLVED = """
SELECT id, subject, status, reason, hint, body,
    status IN ('received', 'processing') AND received_at > now() - interval '2 minutes' AS is_in_hand
FROM (
    SELECT * FROM events WHERE status IN ('received', 'retrying')
    UNION ALL SELECT * FROM events WHERE status = 'processing'
    UNION ALL SELECT * FROM events d WHERE status = 'dead' AND NOT EXISTS (
        SELECT 1 FROM events n WHERE n.subject = d.subject AND n.status IN ('processed', 'ignored')
            AND (n.occurred_at, n.id) > (d.occurred_at, d.id)
    )
) AS e
WHERE source = 'taiga' AND ($2::text[] IS NULL OR subject = ANY ($2::text[]))
ORDER BY id LIMIT $1
"""
_CREDITS = """
SELECT r.subject, r.kind, r.summary, coalesce(r.details ->> 'client_id', (
    SELECT l.state -> 'sent' ->> 'client_id' FROM links l
    WHERE l.subject = r.subject AND l.kind = 'time_entry' ORDER BY l.created_at LIMIT 1
), '') AS client_id
FROM reviews r WHERE r.kind IN ('credit_proposal', 'invoice_cancelled', 'hours_lost') AND r.closed_at IS NULL
ORDER BY r.id
"""
_NUMBERED_PLAN = "UPDATE planned_invoices SET invoice_number = $2 WHERE invoice_id = $1 AND invoice_number = ''"
_NUMBERED_LINKS = """
UPDATE links SET state = state || jsonb_build_object('invoice_number', $2::text)
WHERE remote_id = $1 AND kind IN ('invoice', 'invoiced') AND state ->> 'invoice_number' = ''
"""
_INVOICED = """
INSERT INTO links (subject, kind, number, remote_id, state)
SELECT subject, 'invoiced', number, remote_id, state::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS i (subject, number, remote_id, state)
ON CONFLICT (subject, kind, number) DO UPDATE
SET remote_id = excluded.remote_id, state = excluded.state, updated_at = now()
"""


class PlanStore:
    """Implements `handlers.ports.invoice_world.Plans`; raises `StoreUnavailableError` when PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def save(self, plan: InvoicePlan) -> None:
        """Keep the plan; what was made of one with the same id stays noted."""
        with away_is_unavailable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO invoice_plans (id, period, left_out, warnings) VALUES ($1, $2, $3, $4)"
                    " ON CONFLICT (id) DO UPDATE SET left_out = excluded.left_out, warnings = excluded.warnings",
                    plan.id,
                    period_as_json(plan.period),
                    [_left_out_as_json(one) for one in plan.left_out],
                    [storable(warning) for warning in plan.warnings],
                )
                for start in range(0, len(plan.invoices), _ROWS):
                    part = plan.invoices[start : start + _ROWS]
                    contents = [orjson.dumps(_clean(invoice_as_json(invoice))).decode() for invoice in part]
                    ids, scopes = [invoice.client_id for invoice in part], [invoice.scope for invoice in part]
                    await connection.execute(_SAVE, plan.id, ids, scopes, contents)

    async def find(self, plan_id: str) -> InvoicePlan | None:
        """The stored plan."""
        with away_is_unavailable():
            row = await self._pool.fetchrow(
                "SELECT period, left_out, warnings FROM invoice_plans WHERE id = $1", plan_id
            )
        if row is None:
            return None
        return InvoicePlan(
            id=plan_id,
            period=period_from_json(row["period"]),
            invoices=tuple(one.invoice for one in await self.planned(plan_id)),
            left_out=tuple(LeftOut(**{**one, "task_ids": tuple(one.get("task_ids", ()))}) for one in row["left_out"]),
            warnings=tuple(row["warnings"]),
        )

    async def planned(self, plan_id: str, client_id: str = "") -> Sequence[Planned]:
        """The invoices of a stored plan, by client."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT content, invoice_id, invoice_number FROM planned_invoices"
                " WHERE plan_id = $1 AND $2 IN ('', client_id) ORDER BY content ->> 'client_name', client_id, scope",
                plan_id,
                client_id,
            )
        return [Planned(invoice_from_json(row["content"]), row["invoice_id"], row["invoice_number"]) for row in rows]

    async def made(self, plan_id: str, planned: PlannedInvoice, invoice: Invoice, note: str) -> None:
        """Remember the invoice that was made of a planned one."""
        with away_is_unavailable():
            await self._pool.execute(
                _MADE,
                plan_id,
                planned.client_id,
                planned.scope,
                _clean(invoice_as_json(planned)),
                invoice.id,
                invoice.number,
                invoice.amount,
                storable(note),
            )

    async def time_links(self, task_ids: Collection[str]) -> Mapping[str, TimeLink]:
        """What is remembered of tasks that the bridge made, by task id."""
        ids, found = list(task_ids), {}
        for start in range(0, len(ids), _IDS):
            with away_is_unavailable():
                rows = await self._pool.fetch(
                    "SELECT subject, remote_id, state FROM links WHERE kind = 'time_entry' AND remote_id = ANY ($1)",
                    ids[start : start + _IDS],
                )
            found.update({row["remote_id"]: read_time_link(row["subject"], row["state"]) for row in rows})
        return found

    async def unresolved(self, subjects: Collection[str] | None = None) -> Sequence[Unresolved]:
        """The Taiga events that are not done; a dead one counts until a newer one of its subject is done."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_UNRESOLVED, _MOST_UNRESOLVED, None if subjects is None else list(subjects))
        return [_unresolved(row) for row in rows]

    async def credit_proposals(self) -> Sequence[CreditProposal]:
        """The credits that wait for a person."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_CREDITS)
        return [CreditProposal(**row) for row in rows]

    async def hour_memory(self) -> HourMemory:
        """What is remembered of all hours."""
        return await read_hour_memory(self._pool)

    async def numbered(self, invoice_id: str, number: str) -> None:
        """Write the number that an invoice got when it was sent to where it was remembered without one."""
        with away_is_unavailable():
            await self._pool.execute(_NUMBERED_PLAN, invoice_id, number)
            await self._pool.execute(_NUMBERED_LINKS, invoice_id, number)

    async def remember_invoiced(self, invoiced: Sequence[Invoiced]) -> None:
        """Write the links from tasks to the invoice."""
        # One row per task: a statement must not meet the same key twice.
        rows = list({(one.subject, one.task_number): one for one in invoiced}.values())
        with away_is_unavailable():
            await self._pool.execute(
                _INVOICED,
                [one.subject for one in rows],
                [one.task_number for one in rows],
                [one.invoice_id for one in rows],
                [orjson.dumps(dict(one.state)).decode() for one in rows],
            )

    async def calendar_known_since(self, name: str, now: datetime) -> datetime:
        """When this calendar was seen first: now, if it is new."""
        with away_is_unavailable():
            since: datetime = await self._pool.fetchval(
                "INSERT INTO invoice_calendars (name, known_since) VALUES ($1, $2)"
                " ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING known_since",
                name,
                now,
            )
        return since

    async def close_plan_reviews(self, plan_id: str, why: str, clients: Collection[str] = ()) -> None:
        """Close what waited for somebody to apply this plan ("" for none), or to bill no others than these clients."""
        with away_is_unavailable():
            await self._pool.execute(
                "UPDATE reviews SET closed_at = now(), closed_why = $2"
                " WHERE kind = 'invoice_plan' AND closed_at IS NULL"
                " AND (details ->> 'plan_id' = $1 OR details -> 'clients' <@ $3::jsonb)",
                plan_id,
                storable(why),
                list(clients),
            )


def _left_out_as_json(one: LeftOut) -> dict[str, Any]:
    cleaned: dict[str, Any] = _clean(
        {
            name: getattr(one, name)
            for name in ("client_id", "client_name", "what", "seconds", "reason", "hint", "task_ids")
        }
    )
    return cleaned


def _clean(value: Any) -> Any:
    """JSON whose texts PostgreSQL can hold."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {name: _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list | tuple) else value


def read_time_link(subject: str, state: Mapping[str, Any]) -> TimeLink:
    """What the state of a link of kind `time_entry` says (`handlers.time.ledger`)."""
    sent, stored, origin = (state.get(name) or {} for name in ("sent", "stored", "origin"))
    hours, raw = sent.get("hours"), sent.get("raw_hours")
    return TimeLink(
        subject=subject,
        sent_hours=None if hours is None else Decimal(hours),
        raw_hours=None if raw is None else Decimal(raw),
        stored_log=tuple((start, end) for start, end in stored.get("time_log", ())),
        person=origin.get("person") or "",
        taiga_project_id=origin.get("taiga_project_id"),
        divided_at=state.get("divided_at") or 0,
    )


def _unresolved(row: asyncpg.Record) -> Unresolved:
    project_id: int | None = None
    name = row["subject"]
    try:
        payload = orjson.loads(row["body"])
        project_id = take_optional(payload, "data.project.id", int)
        ref, subject = take_optional(payload, "data.ref", int), take_optional(payload, "data.subject", str)
        name = f"#{ref}: {subject}" if ref and subject else name
    except (ValueError, NotUnderstood):
        name = f"{name} (its body is not understood)"
    return Unresolved(
        event_id=row["id"],
        subject=row["subject"],
        status=row["status"],
        name=name,
        reason=row["reason"],
        hint=row["hint"],
        taiga_project_id=project_id,
        is_in_hand=row["is_in_hand"],
    )
