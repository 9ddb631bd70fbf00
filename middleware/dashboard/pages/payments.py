"""Payments from Stripe: what became of each; those that wait for an invoice are matched or ignored here."""

import asyncio
from datetime import datetime
from typing import cast
from urllib.parse import urlencode

from starlette.responses import Response

from handlers.ports.billing import PaymentRecord
from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.names import Names, read_mapping
from middleware.dashboard.visit import RefusedError, Visit, go_to, moment_of
from middleware.intake.decisions import Decision, decision_event
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.payments import STATUSES, PaymentStore
from middleware.store.billing.reports import Reports
from middleware.store.operations.audit import AuditEntry, AuditStore

LIMIT = 50
LONGEST = 500


async def show(visit: Visit) -> Response:
    """Payments, newest first; those without an invoice come first, with their candidates."""
    pool, status = visit.services.pool, visit.asked("status")
    after = read_place(visit.asked("after"))
    places = await Reports(pool).newest_payments(status, after, LIMIT + 1)
    payments = PaymentStore(pool)
    found = await payments.many([identity for _, identity in places[:LIMIT]])
    unmatched = [] if status or after else await payments.list(status="unmatched", limit=LIMIT)
    last = places[LIMIT - 1] if len(places) > LIMIT else None
    query = {"status": status, "after": f"{last[0].isoformat()}|{last[1]}"} if last else {}
    return visit.page(
        "payments.html",
        status=status,
        statuses=STATUSES,
        unmatched=unmatched,
        rows=[(moment, found[identity]) for moment, identity in places[:LIMIT] if identity in found],
        next_query=urlencode({name: value for name, value in query.items() if value}),
        is_first=after is None,
        names=await names_of(visit),
    )


async def show_one(visit: Visit) -> Response:
    """One payment, with the forms to match or ignore it."""
    record = await _known(visit, visit.request.path_params["identity"])
    return visit.page(
        "payment.html",
        record=record,
        names=await names_of(visit),
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


async def decide(visit: Visit) -> Response:
    """Match, unmatch or ignore a payment: shown first, then stored as an event, which a worker carries out."""
    fields = await visit.form()
    record = await _known(visit, fields.get("payment", ""))
    action, why = fields.get("action", ""), fields.get("why", "").strip()[:LONGEST]
    invoice = (fields.get("other", "").strip() or fields.get("invoice", "").strip())[:LONGEST]
    if action not in {"match", "ignore", "unmatch"}:
        raise RefusedError(422, "Choose what to do with this payment.")
    if action == "match" and not invoice:
        raise RefusedError(422, "Choose an invoice, or write its number. Go back and try again.")
    if action != "match" and not why:
        raise RefusedError(422, "Say why: the reason is kept. Go back and fill it in.")
    preview = await visit.desk.asking.decision_preview(cast("Decision", action), record, invoice)
    if preview.refusal:
        raise RefusedError(409, f"{preview.refusal}.")
    if fields.get("sure") != "yes":
        shown = {"action": action, "invoice": invoice, "why": why, "lines": preview.lines}
        return visit.page("payment_sure.html", record=record, **shown)
    words = {"invoice": invoice, "why": why} if action == "match" else {"why": why}
    event = decision_event(cast("Decision", action), record, words, visit.session.name, visit.now)
    (stored,) = await visit.services.sink.enqueue([event])
    summary = f"payment {record.identity}: {action} {words.get('invoice', '')}".rstrip()
    entry = AuditEntry(visit.session.name, f"payment.{action}", summary, words, (stored.event_id,))
    await AuditStore(visit.services.pool).record(entry)
    return go_to(f"/payments/{record.identity}", said="decided-1")


async def names_of(visit: Visit) -> Names:
    """Names of clients: Invoice Ninja's own, else of the mapping."""
    read = await asyncio.to_thread(read_mapping, visit.services.settings.mappings_file)
    return Names(read.mapping, await BookStore(visit.services.pool).client_names())


async def _known(visit: Visit, identity: str) -> PaymentRecord:
    record = await PaymentStore(visit.services.pool).find(identity)
    if record is None:
        raise RefusedError(404, "There is no such payment.")
    return record


def read_place(text: str) -> tuple[datetime, str] | None:
    """Where a page ended; None for what is no place."""
    moment, bar, identity = text.partition("|")
    found = moment_of(moment)
    return (found, identity) if bar and found else None
