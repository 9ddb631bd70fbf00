"""What differs between the sources of webhooks: how a delivery is proven, named and read."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson

from mappings.errors import NotUnderstood, shown
from mappings.stripe import Relevant, classify
from mappings.stripe.fields import BadStripeObject
from mappings.taiga.webhook import describe
from mappings.values.fields import take_time
from middleware.clients.http.json_codec import read_json
from middleware.settings import Source
from middleware.sources.signing import verify_stripe, verify_taiga
from middleware.store.events.events import NewEvent

LAST_SECOND = int(datetime.max.replace(tzinfo=UTC).timestamp())
LONGEST_NAME = 300
# The ends of the calendar are infinite for PostgreSQL and come back without a time zone.
FIRST_YEAR, LAST_YEAR = 1970, 9998
KEPT_HEADERS = ("user-agent", "content-type", "x-taiga-webhook-signature", "x-hub-signature", "stripe-signature")


class Head(Protocol):
    """What the reader of a source says of a payload."""

    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def occurred_at(self) -> datetime: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class StripeHead:
    """What is said of a Stripe event at the door."""

    type: str
    subject: str
    occurred_at: datetime


class NotJsonError(Exception):
    """The body is signed rightly but is not JSON (or nested beyond reading)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it arrived. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class SourceRules:
    """How deliveries of one source are verified (raises `SignatureError`) and read (raises `NotUnderstood`)."""

    verify: Callable[[Delivery, Sequence[str], int], int]
    read: Callable[[Delivery, Mapping[str, Any]], NewEvent]


def decode(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body, for naming it only: numbers may have lost digits.

    Raises:
        NotJsonError: it is no JSON.
        NotUnderstood: it is JSON, but no object.
    """
    try:
        payload = _decode(body)
    except (ValueError, RecursionError) as error:
        raise NotJsonError(f"the body is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise NotUnderstood("", f"a JSON object was expected, not {type(payload).__name__}")
    return payload


def _decode(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # The standard library also reads lone surrogates, numbers beyond a double and a byte order mark.
        return read_json(body)


def canonical_digest(payload: Mapping[str, Any]) -> str:
    """SHA-256 of the JSON with sorted keys: a delivery sent again by Taiga has other bytes but the same content.

    Raises:
        NotJsonError: it is nested beyond reading.
    """
    try:
        text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        text = _canonical_text(payload)
    return hashlib.sha256(text).hexdigest()


def _canonical_text(payload: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(payload, sort_keys=True, separators=(",", ":"), default=str).encode()
    except RecursionError as error:
        raise NotJsonError("the body is nested too deeply") from error


def _verify_taiga(delivery: Delivery, secrets: Sequence[str], _tolerance: int) -> int:
    return verify_taiga(delivery.body, delivery.headers, secrets)


def _read_taiga(delivery: Delivery, payload: Mapping[str, Any]) -> NewEvent:
    head = describe(payload)
    return _event("taiga", canonical_digest(payload), head, delivery)


def _verify_stripe(delivery: Delivery, secrets: Sequence[str], tolerance: int) -> int:
    now = int(delivery.received_at.timestamp())
    return verify_stripe(delivery.body, delivery.headers.get("stripe-signature"), secrets, now, tolerance)


def _read_stripe(delivery: Delivery, payload: Mapping[str, Any]) -> NewEvent:
    try:
        verdict = classify(payload)
    except BadStripeObject as error:
        raise NotUnderstood("", str(error)) from error
    key = str(payload["id"])
    # What nobody needs is stored too, under a subject of its own, and ends ignored with a reason.
    subject = verdict.subject if isinstance(verdict, Relevant) else f"stripe:event:{key}"
    return _event("stripe", key, StripeHead(str(payload["type"]), subject, _created(payload)), delivery)


def _created(payload: Mapping[str, Any]) -> datetime:
    """Unix seconds, or ISO text in thin events (facts/stripe.md section 1)."""
    created = payload.get("created")
    if isinstance(created, int) and not isinstance(created, bool) and 0 <= created <= LAST_SECOND:
        return datetime.fromtimestamp(created, UTC)
    return take_time(payload, "created")


def _event(source: Source, key: str, head: Head, delivery: Delivery) -> NewEvent:
    for name, text in (("the event's id", key), ("its type", head.type), ("its subject", head.subject)):
        # One name that the store cannot index would be refused together with everybody who shares its commit.
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise NotUnderstood("", f"{name} is {shown(text)}, which is no name")
    if not FIRST_YEAR <= head.occurred_at.year <= LAST_YEAR:
        raise NotUnderstood("", f"it happened in the year {head.occurred_at.year}")
    headers = {name: delivery.headers[name] for name in KEPT_HEADERS if name in delivery.headers}
    return NewEvent(source, head.type, key, head.subject, head.occurred_at, delivery.body, headers)


SOURCES: Mapping[Source, SourceRules] = {
    "taiga": SourceRules(_verify_taiga, _read_taiga),
    "stripe": SourceRules(_verify_stripe, _read_stripe),
}
