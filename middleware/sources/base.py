"""What a source of webhooks is: how a delivery of it is proven, named and read; and what all sources share.

Each source is one module beside this one and one line in `middleware.sources.table`.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from handlers.event import NewEvent
from mappings.errors import NotUnderstood, shown
from middleware.clients.http.json_codec import read_json

LONGEST_NAME = 300
# The ends of the calendar are infinite for PostgreSQL and come back without a time zone.
FIRST_YEAR, LAST_YEAR = 1970, 9998
KEPT_HEADERS = ("user-agent", "content-type")


class NotJsonError(Exception):
    """The body is signed rightly but is not JSON (or nested beyond reading)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it arrived. Header names are lower case."""

    body: bytes
    headers: Mapping[str, str]
    received_at: datetime


def whole_body(delivery: Delivery) -> bytes:
    """What most sources sign: the raw body."""
    return delivery.body


def every_key(_secrets: Sequence[str], _used: int, _payload: Mapping[str, Any]) -> bool:
    """What most sources allow: each of their keys signs for everything."""
    return True


@dataclass(frozen=True, slots=True)
class Source:
    """One source of webhooks. What the rest of the program does with it, it asks here and nowhere else."""

    name: str
    """In lower case: `/webhooks/<name>`, the column `events.source`, the setting `<NAME>_WEBHOOK_SECRETS`."""

    title: str
    """What people call it."""

    signature_headers: tuple[str, ...]
    """Kept of every delivery and every rejection, lower case, and searched for a signature when one is wrong."""

    verify: Callable[[Delivery, Sequence[str], int], int]
    """The index of the key that signed; seconds of tolerance for a signed time. Raises `SignatureError`."""

    read: Callable[[Delivery, Mapping[str, Any]], NewEvent]
    """The event of a proven delivery and its decoded body. Raises `NotUnderstood`."""

    digest: str
    """The hash function of the HMAC, as `hashlib` calls it."""

    may_sign: Callable[[Sequence[str], int, Mapping[str, Any]], bool] = every_key
    """Whether the key that was used, of all keys, is one for what this payload is about."""

    needs: frozenset[str] = frozenset({"invoiceninja"})
    """The systems without which its events cannot be settled: while one is away, they wait. At least one."""

    signed: Callable[[Delivery], bytes] = whole_body
    """The bytes that the HMAC covers."""

    signs_time: bool = False
    """Whether the signature holds a time: a late delivery is refused then."""

    expected_signature: str = "send the signature in lower-case hex digits, in the header where it is expected"
    missing_signature: str = "give the webhook a key at the sender, and let the proxy pass the header of its signature"

    @property
    def setting(self) -> str:
        """The environment variable that holds its keys."""
        return f"{self.name.upper()}_WEBHOOK_SECRETS"


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
    """SHA-256 of the JSON with sorted keys: the key of deliveries that carry no id of their own.

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


def new_event(
    source: Source, delivery: Delivery, *, key: str, event_type: str, subject: str, occurred_at: datetime
) -> NewEvent:
    """The event of a delivery, with the headers that are kept.

    Raises:
        NotUnderstood: one of the names cannot be stored, or the time is outside the calendar.
    """
    for name, text in (("the event's id", key), ("its type", event_type), ("its subject", subject)):
        # One name that the store cannot index would be refused together with everybody who shares its commit.
        if len(text) > LONGEST_NAME or not text.isprintable():
            raise NotUnderstood("", f"{name} is {shown(text)}, which is not a name")
    if not FIRST_YEAR <= occurred_at.year <= LAST_YEAR:
        raise NotUnderstood("", f"it happened in the year {occurred_at.year}")
    kept = (*KEPT_HEADERS, *source.signature_headers)
    headers = {name: delivery.headers[name] for name in kept if name in delivery.headers}
    return NewEvent(source.name, event_type, key, subject, occurred_at, delivery.body, headers)
