"""Webhooks of Stripe (docs/facts/stripe.md sections 1 and 2): signed with HMAC SHA-256 over a time and the body."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from handlers.event import NewEvent
from mappings.errors import NotUnderstood
from mappings.stripe import Relevant, classify
from mappings.stripe.fields import BadStripeObject
from mappings.values.fields import take_time
from middleware.sources.base import Delivery, Source, new_event
from middleware.sources.signing import verify_stripe

LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp())
_HEADER = "stripe-signature"
_TIME = re.compile(r"t=(\d{1,12})")


def _verify(delivery: Delivery, secrets: Sequence[str], tolerance: int) -> int:
    now = int(delivery.received_at.timestamp())
    return verify_stripe(delivery.body, delivery.headers.get(_HEADER), secrets, now, tolerance)


def _read(delivery: Delivery, payload: Mapping[str, Any]) -> NewEvent:
    try:
        verdict = classify(payload)
    except BadStripeObject as error:
        raise NotUnderstood("", str(error)) from error
    key = str(payload["id"])
    # What nobody needs is stored too, under a subject of its own, and ends ignored with a reason.
    subject = verdict.subject if isinstance(verdict, Relevant) else f"stripe:event:{key}"
    return new_event(
        STRIPE,
        delivery,
        key=key,
        event_type=str(payload["type"]),
        subject=subject,
        occurred_at=_created(payload),
    )


def _created(payload: Mapping[str, Any]) -> datetime:
    """Unix seconds, or ISO text in thin events (docs/facts/stripe.md section 1)."""
    created = payload.get("created")
    if isinstance(created, int) and not isinstance(created, bool) and 0 <= created <= LAST_SECOND:
        return datetime.fromtimestamp(created, UTC)
    return take_time(payload, "created")


def _signed(delivery: Delivery) -> bytes:
    time = _TIME.search(delivery.headers.get(_HEADER, ""))
    return (f"{time[1]}." if time else "").encode() + delivery.body


STRIPE = Source(
    name="stripe",
    title="Stripe",
    signature_headers=(_HEADER,),
    verify=_verify,
    read=_read,
    digest="sha256",
    needs=frozenset({"invoiceninja", "stripe"}),
    signed=_signed,
    signs_time=True,
    expected_signature="send t=<unix seconds>,v1=<64 lower-case hex digits> in Stripe-Signature",
    missing_signature="let the proxy pass Stripe-Signature",
)
