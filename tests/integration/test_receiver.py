"""The receiver: what is acknowledged is stored, everything else is refused with its reason and counted."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import httpx
import pytest

from middleware.sources.signing import sign_taiga
from middleware.store.events.events import EventStore
from tests.support.pipeline import event_store
from tests.support.receiver_bench import KEY, body_of, post, refused, running, settings, signed
from tests.support.recorded import TAIGA_WEBHOOK_KEY, taiga_webhook, taiga_webhooks


async def test_accepted_and_duplicate(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """A webhook is stored as it came and answered 202; sent again it is answered 200 and stored once."""
    body = body_of(data={"subject": "Zoë \N{PARTY POPPER}"})
    first, second = await post(receiver, body), await post(receiver, body)
    event_id = first.json()["event_id"]
    assert (first.status_code, first.json()) == (202, {"status": "accepted", "event_id": event_id})
    assert (second.status_code, second.json()) == (200, {"status": "duplicate", "event_id": event_id})
    (row,) = await store.list()
    assert (row.id, row.subject, row.status) == (event_id, "taiga:task:5", "received")
    assert (await store.body(event_id))[0] == body


async def test_every_recorded_delivery(clean_database: str, store: EventStore) -> None:
    """Every recorded delivery is taken with the headers it came with, and stored byte for byte."""
    recorded = taiga_webhooks()
    async with running(settings(clean_database, taiga_webhook_secrets=f"{TAIGA_WEBHOOK_KEY},key-two")) as client:
        answers = [await post(client, webhook.body, webhook.headers) for webhook in recorded]
    assert {answer.status_code for answer in answers} == {202}
    bodies = [(await store.body(answer.json()["event_id"]))[0] for answer in answers]
    assert bodies == [webhook.body for webhook in recorded]


async def test_many_at_once(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """Deliveries that arrive together share commits: each is stored once, its double is a duplicate."""
    bodies = [body_of(data={"id": number}) for number in range(1, 101)] * 2
    answers = await asyncio.gather(*(post(receiver, body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [200] * 100 + [202] * 100
    assert len(await store.list(limit=500)) == 100


async def test_resend_is_a_duplicate(receiver: httpx.AsyncClient) -> None:
    """A resend has other bytes and another signature, but the same content."""
    webhook = taiga_webhook("010")
    resent = json.dumps(dict(reversed(webhook.payload.items())), ensure_ascii=False).encode()
    assert (await post(receiver, webhook.body)).status_code == 202
    assert (await post(receiver, resent)).status_code == 200


async def test_resend_of_a_dead_event(receiver: httpx.AsyncClient, store: EventStore, clean_database: str) -> None:
    """Who presses "resend" on a dead event wants it done: it is due again."""
    body = body_of()
    event_id = (await post(receiver, body)).json()["event_id"]
    async with event_store(clean_database) as (_, pool):
        await pool.execute("UPDATE events SET status = 'dead', attempts = 3, reason = 'why', finished_at = now()")
    assert (await post(receiver, body)).json() == {"status": "duplicate", "event_id": event_id}
    row = await store.find(event_id)
    assert row is not None
    assert (row.status, row.attempts, row.reason, row.finished_at) == ("received", 0, "", None)


async def test_test_button(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """Taiga's test button is taken."""
    webhook = taiga_webhook("071")
    assert (await post(receiver, webhook.body)).status_code == 202
    (row,) = await store.list()
    assert (row.type, row.subject) == ("test.test", "taiga:test")


async def test_large_body(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """A real body reaches 240 KB."""
    body = body_of(data={"description": "x" * 240_000})
    event_id = (await post(receiver, body)).json()["event_id"]
    assert (await store.body(event_id))[0] == body


@pytest.mark.parametrize("path", ["/webhooks/taiga/", "/webhooks/taiga?token=x"])
async def test_address_with_something_at_its_end(receiver: httpx.AsyncClient, path: str) -> None:
    """A slash or a query at the end of the address does no harm: Taiga follows no redirect and sends once."""
    body = body_of()
    assert (await receiver.post(path, content=body, headers=signed(body))).status_code == 202


async def test_rotation(clean_database: str) -> None:
    """While keys are changed, both are taken; afterwards only the new one."""
    body, other = body_of(), body_of(data={"id": 6})
    async with running(settings(clean_database, taiga_webhook_secrets="new,old")) as client:
        assert (await post(client, body, signed(body, "old"))).status_code == 202
        assert (await post(client, other, signed(other, "new"))).status_code == 202
    async with running(settings(clean_database, taiga_webhook_secrets="new")) as client:
        await refused(client, 403, "wrong_signature", content=body, headers=signed(body, "old"))


@pytest.mark.parametrize("header", ["X-TAIGA-WEBHOOK-SIGNATURE", "X-Hub-Signature"])
async def test_either_header_suffices(receiver: httpx.AsyncClient, header: str) -> None:
    """Each of Taiga's two headers is enough."""
    body = body_of()
    assert (await post(receiver, body, {header: signed(body)[header]})).status_code == 202


RIGHT = sign_taiga(body_of(), KEY)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "missing_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": ""}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": RIGHT.upper()}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": "sha1=" + RIGHT}, "malformed_signature"),
        ({"X-Hub-Signature": RIGHT}, "malformed_signature"),
        ({"X-Hub-Signature": "sha256=" + RIGHT}, "malformed_signature"),
        ({"X-Hub-Signature": "sha1=" + RIGHT[:-1]}, "malformed_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": "0" * 40}, "wrong_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(body_of(), "other")}, "wrong_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(body_of() + b" ", KEY)}, "wrong_signature"),
        ({"X-TAIGA-WEBHOOK-SIGNATURE": "é" * 40}, "malformed_signature"),
    ],
)
async def test_bad_signatures(
    receiver: httpx.AsyncClient, store: EventStore, headers: dict[str, str], reason: str
) -> None:
    """Each way of not being signed is refused with its own reason, and nothing is stored."""
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    await refused(receiver, 403, reason, content=body_of(), headers=encoded)
    assert await store.list() == []


async def test_signature_comes_first(receiver: httpx.AsyncClient) -> None:
    """What is not signed is not even looked at: no word about its JSON."""
    await refused(receiver, 403, "missing_signature", content=b"{")


@pytest.mark.parametrize("body", [body_of()[:-1], b"", b"\xff", b"[" * 100_000, body_of(data={"x": 0}) + b"}"])
async def test_no_json(receiver: httpx.AsyncClient, store: EventStore, body: bytes) -> None:
    """Truncated or nested beyond reading, though rightly signed: no JSON."""
    await refused(receiver, 400, "not_json", content=body, headers=signed(body))
    assert await store.list() == []


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"x"', b"7", body_of(date="soon"), body_of(data={"id": "5"})])
async def test_json_of_another_shape(receiver: httpx.AsyncClient, store: EventStore, body: bytes) -> None:
    """Valid JSON that is no webhook of Taiga is refused, and nothing is stored."""
    await refused(receiver, 400, "not_understood", content=body, headers=signed(body))
    assert await store.list() == []


@pytest.mark.parametrize(
    "value",
    ['"\\u0000"', '"\\ud800"', "1" * 5000, "1e999", "NaN", "[" * 250 + "]" * 250],
    ids=["NUL", "surrogate", "5000 digits", "1e999", "NaN", "nested"],
)
async def test_strange_but_readable(receiver: httpx.AsyncClient, store: EventStore, value: str) -> None:
    """Whatever Taiga can send is taken and stored byte for byte."""
    body = body_of(data={"x": "?"}).replace(b'"?"', value.encode())
    answer = await post(receiver, body)
    assert answer.status_code == 202
    assert (await store.body(answer.json()["event_id"]))[0] == body


async def test_unheard_of_types(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """Types and actions that nobody knows yet are stored."""
    assert (await post(receiver, body_of(type="spaceship", action="launch"))).status_code == 202
    assert [row.type for row in await store.list()] == ["spaceship.launch"]


@pytest.mark.parametrize("declared", ["5242881", "9" * 19, "9" * 5000])
async def test_declared_too_large(receiver: httpx.AsyncClient, declared: str) -> None:
    """A body that is declared too large is refused before any of it is read."""
    headers = {**signed(b""), "Content-Length": declared}
    await refused(receiver, 413, "too_large", content=b"", headers=headers)


async def test_streamed_too_large(clean_database: str) -> None:
    """A body without a declared length is refused when it grows too large."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 1024

    async with running(settings(clean_database, max_body_bytes=10_000)) as client:
        await refused(client, 413, "too_large", content=endless())


async def test_exactly_the_limit(clean_database: str) -> None:
    """A body of exactly the limit is read."""
    body = body_of()
    async with running(settings(clean_database, max_body_bytes=1024)) as client:
        padded = body + b" " * (1024 - len(body))
        assert (await post(client, padded)).status_code == 202
        await refused(client, 413, "too_large", content=padded + b" ", headers=signed(padded + b" "))


async def test_a_key_of_another_project(clean_database: str, store: EventStore) -> None:
    """A bound key signs for its own project, and for Taiga's test button; what it says of others is refused."""
    keys = "17:seventeen,18:eighteen,19:eighteen,free"
    async with running(settings(clean_database, taiga_webhook_secrets=keys)) as client:

        async def sent(project: Any, key: str, **changes: Any) -> int:
            body = body_of(data={"id": next(_ids), "project": project}, **changes)
            return (await post(client, body, signed(body, key))).status_code

        assert await sent({"id": 17}, "seventeen") == 202
        assert [await sent({"id": number}, "eighteen") for number in (18, 19)] == [202, 202]
        assert await sent({"id": 17}, "free") == 202
        assert await sent(None, "seventeen", type="test", action="test") == 202
        for project in ({"id": 18}, {"id": "17"}, {}, None, "17"):
            body = body_of(action="delete", data={"id": 1, "project": project})
            await refused(client, 403, "key_of_another_project", content=body, headers=signed(body, "seventeen"))
        body = body_of()
        await refused(client, 403, "wrong_signature", content=body, headers=signed(body, "17:seventeen"))
    assert len(await store.list()) == 5


_ids = count(100)


async def test_two_signatures(receiver: httpx.AsyncClient, store: EventStore) -> None:
    """A request with a signature header twice is refused, even when one of them is right; other headers may repeat."""
    body = body_of()
    right = list(signed(body).items())
    twice = [*right, ("X-Hub-Signature", "sha1=" + "0" * 40)]
    assert (await receiver.post("/webhooks/taiga", content=body, headers=twice)).json()[
        "reason"
    ] == "malformed_signature"
    assert await store.list() == []
    other = [*right, ("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-For", "5.6.7.8")]
    assert (await receiver.post("/webhooks/taiga", content=body, headers=other)).status_code == 202
