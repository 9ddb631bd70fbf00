"""Events: the list with its filter, and one event with everything that is known of it."""

import json
from typing import Any

from starlette.responses import Response

from handlers.payments.facts import PAYMENT
from handlers.ports.billing import PaymentRecord
from mappings.errors import NotUnderstood
from mappings.values.fields import take_optional
from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.filters import event_filter, read_filter
from middleware.dashboard.visit import RefusedError, Visit
from middleware.store.billing.links import LinkStore
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import Pool
from middleware.store.events.actions import DISCARDABLE, REPLAYABLE
from middleware.store.events.events import STATUSES, EventStore
from middleware.store.events.search import WINDOW, EventFilter, EventSearch
from middleware.store.events.statistics import Statistics
from middleware.store.events.timeline import timeline_of
from middleware.store.operations.audit import AuditStore

LIMIT = 50
NEIGHBOURS = 12
LONGEST_PAYLOAD = 200_000


async def show_list(visit: Visit) -> Response:
    """The events that pass a filter, newest first."""
    pool = visit.services.pool
    asked = read_filter(visit.request.query_params)
    before = visit.asked_id("before")
    page = await EventSearch(pool).page(event_filter(asked, visit.zone), before_id=before, limit=LIMIT)
    types = await Statistics(pool).types()
    links = await LinkStore(pool).of_subject(asked.subject) if asked.subject else []
    return visit.page(
        "events.html",
        asked=asked,
        events=page.rows,
        looked_back_to=page.looked_back_to,
        window=WINDOW,
        next_query=asked.query(before=str(page.next_before)) if page.next_before else "",
        is_first=before is None,
        statuses=STATUSES,
        sources=sorted({source for source, _ in types}),
        types=sorted({name for source, name in types if asked.source in {"", source}}),
        links=links,
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


async def show_one(visit: Visit) -> Response:
    """One event: what it says, what was tried, what came of it, and what a person may do."""
    pool, event_id = visit.services.pool, visit.request.path_params["event_id"]
    store = EventStore(pool)
    event = await store.find(event_id) if event_id < 2**63 else None
    if event is None:
        raise RefusedError(404, f"There is no event {event_id}; it may have been removed.")
    body, headers = await store.body(event_id)
    payload = _decoded(body)
    around = await EventSearch(pool).page(EventFilter(subject=event.subject), limit=NEIGHBOURS)
    shown = json.dumps(payload, indent=2, ensure_ascii=False) if payload is not None else ""
    return visit.page(
        "event.html",
        event=event,
        timeline=timeline_of(await store.attempts(event_id), await AuditStore(pool).of_event(event_id)),
        links=await LinkStore(pool).of_subject(event.subject),
        payment=await _payment(pool, event.subject),
        around=[row for row in around.rows if row.id != event_id],
        payload=shown[:LONGEST_PAYLOAD],
        payload_is_cut=len(shown) > LONGEST_PAYLOAD,
        body_size=len(body),
        headers=headers,
        permalink=_permalink(payload),
        told=_told(payload),
        may_replay=event.status in REPLAYABLE,
        may_discard=event.status in DISCARDABLE,
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


async def _payment(pool: Pool, subject: str) -> PaymentRecord | None:
    """The payment that the subject is about, once it is recorded."""
    if not subject.startswith(PAYMENT):
        return None
    record = await PaymentStore(pool).find(subject.removeprefix(PAYMENT))
    return record if record is not None and record.payment_id else None


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _text(payload: Any, path: str) -> str:
    try:
        return take_optional(payload, path, str) or ""
    except NotUnderstood:
        return ""


def _permalink(payload: Any) -> str:
    """The page of the item in Taiga; nothing else that a payload may call so."""
    address = _text(payload, "data.permalink")
    return address if address.startswith(("https://", "http://")) else ""


def _told(payload: Any) -> str:
    """The item's own title."""
    return _text(payload, "data.subject") or _text(payload, "data.object.description")
