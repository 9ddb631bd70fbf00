"""Webhooks of Taiga (docs/facts/taiga.md section 1): signed with HMAC SHA-1 over the body, and without an id."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from handlers.event import NewEvent
from mappings.taiga.webhook import describe
from middleware.sources.base import Delivery, Source, canonical_digest, new_event
from middleware.sources.signing import verify_taiga

_BOUND = re.compile(r"(\d{1,15}):(.+)", re.DOTALL)


def keys_for(secrets: Sequence[str], project_id: int) -> list[str]:
    """The keys that may sign for a project: of `17:key` that part which Taiga is given, if the project is 17."""
    return [key for bound_to, key in map(_parted, secrets) if bound_to in (None, project_id)]


def _parted(secret: str) -> tuple[int | None, str]:
    found = _BOUND.fullmatch(secret)
    return (int(found[1]), found[2]) if found else (None, secret)


def _verify(delivery: Delivery, secrets: Sequence[str], _tolerance: int) -> int:
    return verify_taiga(delivery.body, delivery.headers, [key for _, key in map(_parted, secrets)])


def _may_sign(secrets: Sequence[str], used: int, payload: Mapping[str, Any]) -> bool:
    """Each administrator of a project reads its key in Taiga: a bound one proves nothing about other projects."""
    bound_to, key = _parted(secrets[used])
    if bound_to is None or payload.get("type") == "test":
        return True
    data = payload.get("data")
    project = data.get("project") if isinstance(data, dict) else None
    number = project.get("id") if isinstance(project, dict) else None
    return isinstance(number, int) and key in keys_for(secrets, number)


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
    may_sign=_may_sign,
    digest="sha1",
    needs=frozenset({"invoiceninja", "taiga"}),
    expected_signature=("send 40 lower-case hex digits in X-TAIGA-WEBHOOK-SIGNATURE (or sha1=... in X-Hub-Signature)"),
    missing_signature="give the webhook a key in Taiga, and let the proxy pass X-TAIGA-WEBHOOK-SIGNATURE",
)
