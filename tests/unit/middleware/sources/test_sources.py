"""What a delivery is called: key, type and subject, for everything that can be signed."""

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.event import NewEvent
from mappings.errors import NotUnderstood
from middleware.sources.base import Delivery, NotJsonError, canonical_digest, decode
from middleware.sources.table import SOURCES
from tests.support.recorded import stripe_events, taiga_webhooks

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def read(source: str, body: bytes) -> NewEvent:
    """The event of a body."""
    delivery = Delivery(body, {"user-agent": "test", "cookie": "secret"}, NOW)
    return SOURCES[source].read(delivery, decode(body))


def webhook(**changes: Any) -> dict[str, Any]:
    """The smallest webhook of a task."""
    data = {"id": 5, **changes.pop("data", {})}
    return {"action": "change", "type": "task", "by": None, "date": "2026-11-21T07:23:53.500Z", "data": data, **changes}


@pytest.mark.parametrize("recorded", taiga_webhooks(), ids=lambda webhook: webhook.name)
def test_every_recorded_taiga_webhook_has_a_name(recorded: Any) -> None:
    """Whatever Taiga sends is stored, under the subject of its object."""
    payload = recorded.payload
    event = read("taiga", recorded.body)
    assert event.type == f"{payload['type']}.{payload['action']}"
    assert event.body == recorded.body
    item_id = payload["data"].get("id")
    assert event.subject == (f"taiga:{payload['type']}:{item_id}" if item_id else f"taiga:{payload['type']}")


STRIPE = [event for event in stripe_events() if event.name != "INDEX"]


@pytest.mark.parametrize("recorded", STRIPE, ids=lambda event: event.name)
def test_every_recorded_stripe_event_has_a_name(recorded: Any) -> None:
    """Whatever Stripe sends is stored under its own id."""
    event = read("stripe", recorded.body)
    assert (event.key, event.type) == (recorded.payload["id"], recorded.payload["type"])
    assert event.subject.startswith("stripe:")


@pytest.mark.parametrize("recorded", taiga_webhooks()[:20], ids=lambda webhook: webhook.name)
def test_resent_delivery_has_the_same_key(recorded: Any) -> None:
    """A resend has other bytes (keys in another order, other blanks) but the same key."""
    resent = json.dumps(_shuffled(recorded.payload), indent=1).encode()
    assert resent != recorded.body
    assert read("taiga", resent).key == read("taiga", recorded.body).key


def _shuffled(value: Any) -> Any:
    if isinstance(value, list):
        return [_shuffled(item) for item in value]
    if not isinstance(value, dict):
        return value
    keys = list(value)
    random.Random(7).shuffle(keys)  # noqa: S311 - any other order will do
    return {key: _shuffled(value[key]) for key in keys}


def test_all_recorded_deliveries_have_keys_of_their_own() -> None:
    """No two different deliveries are taken for one."""
    keys = [read("taiga", recorded.body).key for recorded in taiga_webhooks()]
    assert len(set(keys)) == len(keys)


@given(a=st.integers(-(2**53), 2**53) | st.text() | st.booleans() | st.none(), b=st.integers() | st.text())
def test_different_values_have_different_keys(a: Any, b: Any) -> None:
    """Payloads with different values are different deliveries: 1 is not "1", nor true."""
    if type(a) is type(b) and a == b:
        return
    assert canonical_digest({"x": a}) != canonical_digest({"x": b})


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "\U0001f389", "a\u2028b", "x" * 200_000])
def test_texts_of_any_kind(text: str) -> None:
    """NUL, lone surrogates, emoji, line separators and very long texts are read."""
    body = json.dumps(webhook(data={"subject": text})).encode()
    assert read("taiga", body).subject == "taiga:task:5"


@pytest.mark.parametrize("number", ["1" * 301, "1" * 5000, "1e400", "-1e999", "NaN", "1" * 5000 + ".5"])
def test_numbers_of_any_size(number: str) -> None:
    """Numbers beyond every machine word are read, and are told apart from others."""
    body = json.dumps(webhook(data={"x": "?"})).replace('"?"', number).encode()
    other = json.dumps(webhook(data={"x": "?"})).replace('"?"', "7").encode()
    assert read("taiga", body).key != read("taiga", other).key


@pytest.mark.parametrize("depth", [100, 300, 900, 1000, 1100, 5000, 100_000])
def test_deep_nesting(depth: int) -> None:
    """Nesting is read or refused as no JSON, and never breaks anything else."""
    nested = "[" * depth + "]" * depth
    body = json.dumps(webhook(data={"x": "?"})).replace('"?"', nested).encode()
    try:
        assert read("taiga", body).subject == "taiga:task:5"
    except NotJsonError:
        assert depth > 300


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":', b"\xff\xfe", b"nonsense", b'{"a":1}}', b"[" * 200_000])
def test_no_json(body: bytes) -> None:
    """What is no JSON says so."""
    with pytest.raises(NotJsonError):
        decode(body)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1", b"null", b"true", b"{}", b'{"action":"change"}'])
@pytest.mark.parametrize("source", ["taiga", "stripe"])
def test_json_of_another_shape(source: str, body: bytes) -> None:
    """JSON of another shape is not understood, whatever it is."""
    with pytest.raises(NotUnderstood):
        read(source, body)


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "x" * 65},
        {"type": "ta\x00sk"},
        {"type": ""},
        {"action": 7},
        {"date": "yesterday"},
        {"date": "2026-11-21T07:23:53"},
        {"date": "0001-01-01T00:00:00+23:59"},
        {"date": "0001-01-01T00:00:00Z"},
        {"date": "9999-12-31T23:59:59Z"},
        {"data": {"id": True}},
        {"data": {"id": 2**63}},
        {"data": {"id": "5"}},
        {"by": 7},
    ],
)
def test_fields_that_cannot_name_an_event(changes: dict[str, Any]) -> None:
    """Fields that would name an event are checked at the door."""
    with pytest.raises(NotUnderstood):
        read("taiga", json.dumps(webhook(**changes)).encode())


@pytest.mark.parametrize("event_id", ["", "evt\x00", "evt_" + "x" * 3000, "evt_\ud800", 7])
def test_ids_that_cannot_be_keys(event_id: Any) -> None:
    """An id that the store could not index is refused alone, before it shares a commit with others."""
    body = {"id": event_id, "type": "charge.succeeded", "created": 1, "data": {"object": {"id": "ch_1"}}}
    with pytest.raises(NotUnderstood):
        read("stripe", json.dumps(body).encode())


def test_only_chosen_headers_are_kept() -> None:
    """Cookies and other headers are not stored."""
    assert read("taiga", json.dumps(webhook()).encode()).headers == {"user-agent": "test"}
