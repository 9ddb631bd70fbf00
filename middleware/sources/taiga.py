"""Webhooks of Taiga (docs/facts/taiga.md section 1): signed with HMAC SHA-1 over the body, and without an id."""

from collections.abc import Mapping, Sequence
from typing import Any

from handlers.event import NewEvent
from mappings.taiga.webhook import describe
from middleware.sources.base import Delivery, Source, canonical_digest, new_event
from middleware.sources.signing import verify_taiga


def _verify(delivery: Delivery, secrets: Sequence[str], _tolerance: int) -> int:
    return verify_taiga(delivery.body, delivery.headers, secrets)


def _read(delivery: Delivery, payload: Mapping[str, Any]) -> NewEvent:
    """A delivery that Taiga sends again has other bytes but the same content, and so the same key."""
    head = describe(payload)
    return new_event(
        TAIGA,
        delivery,
        key=canonical_digest(payload),
        event_type=head.type,
        subject=head.subject,
        occurred_at=head.occurred_at,
    )


TAIGA = Source(
    name="taiga",
    title="Taiga",
    signature_headers=("x-taiga-webhook-signature", "x-hub-signature", "x-hub-signature-256"),
    verify=_verify,
    read=_read,
    digest="sha1",
    needs=frozenset({"invoiceninja", "taiga"}),
    expected_signature=("send 40 lower-case hex digits in X-TAIGA-WEBHOOK-SIGNATURE (or sha1=... in X-Hub-Signature)"),
    missing_signature="give the webhook a key in Taiga, and let the proxy pass X-TAIGA-WEBHOOK-SIGNATURE",
)
