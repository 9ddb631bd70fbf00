"""The receiver: what is acknowledged is stored, everything else is refused with its reason and counted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from middleware import health
from middleware.app import create_app
from middleware.metrics import ACK_SECONDS, RECEIVED, REGISTRY, REJECTED
from middleware.settings import Settings
from middleware.signatures import sign_stripe, sign_taiga
from middleware.store.events import EventStore
from middleware.web import web_server
from tests.pipeline import event_store
from tests.recorded import TAIGA_WEBHOOK_KEY, taiga_webhook, taiga_webhooks

KEY = "taiga-key"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
NO_REDIS = "redis://127.0.0.1:1/0"


def settings(database_url: str, redis_url: str = NO_REDIS, **changes: Any) -> Settings:
    """Settings with one key of Taiga."""
    fields = {"taiga_webhook_secrets": KEY, "database_url": database_url, "redis_url": redis_url, **changes}
    return Settings(_env_file=None, **fields)


@asynccontextmanager
async def running(given: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The receiver in this process."""
    app = create_app(given)
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://receiver") as client,
    ):
        yield client


@pytest.fixture
async def receiver(clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A receiver with an empty store and no Redis."""
    async with running(settings(clean_database)) as client:
        yield client


@pytest.fixture
async def store(clean_database: str) -> AsyncIterator[EventStore]:
    """What the receiver stored."""
    async with event_store(clean_database) as (events, _):
        yield events


def body_of(**changes: Any) -> bytes:
    """A webhook of a task."""
    data = {"id": 5, **changes.pop("data", {})}
    head = {"action": "change", "type": "task", "by": {"id": 7}, "date": "2026-11-21T07:23:53.500Z"}
    return json.dumps({**head, "data": data, **changes}).encode()


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    """The headers that Taiga sends."""
    signature = sign_taiga(body, key)
    return {"X-TAIGA-WEBHOOK-SIGNATURE": signature, "X-Hub-Signature": f"sha1={signature}"}


async def post(client: httpx.AsyncClient, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    """Deliver a body, rightly signed unless other headers are given."""
    return await client.post("/webhooks/taiga", content=body, headers=signed(body) if headers is None else headers)


def counted(reason: str, source: str = "taiga") -> float:
    """How many requests were refused for this reason."""
    value = REGISTRY.get_sample_value("taiga_billing_rejected_total", {"source": source, "reason": reason})
    return value or 0.0


async def refused(client: httpx.AsyncClient, status: int, reason: str, **request: Any) -> httpx.Response:
    """A request that is refused for this reason, stored nowhere, and counted once."""
    before = counted(reason)
    answer = await client.post("/webhooks/taiga", **request)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert counted(reason) == before + 1
    return answer


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


async def test_source_that_is_off(receiver: httpx.AsyncClient) -> None:
    """A source that is not enabled, or does not exist, is told so and counted, under bounded names."""
    before = counted("unknown_source", "stripe"), counted("unknown_source", "unknown")
    off, unknown = await receiver.post("/webhooks/stripe"), await receiver.post("/webhooks/github")
    assert (off.status_code, unknown.status_code) == (404, 404)
    assert "set STRIPE_WEBHOOK_SECRETS" in off.json()["message"]
    after = counted("unknown_source", "stripe"), counted("unknown_source", "unknown")
    assert after == (before[0] + 1, before[1] + 1)


async def test_stripe_when_enabled(clean_database: str, store: EventStore) -> None:
    """Stripe's events come in beside Taiga's, under their own ids."""
    body = (
        b'{"id":"evt_1","object":"event","type":"charge.updated","created":1795264000,"data":{"object":{"id":"ch_1"}}}'
    )
    async with running(settings(clean_database, stripe_webhook_secrets="whsec_x")) as client:
        headers = {"Stripe-Signature": sign_stripe(body, "whsec_x", int(time.time()))}
        assert (await client.post("/webhooks/stripe", content=body, headers=headers)).status_code == 202
        old = {"Stripe-Signature": sign_stripe(body, "whsec_x", 1_700_000_000)}
        answer = await client.post("/webhooks/stripe", content=body, headers=old)
        assert (answer.status_code, answer.json()["reason"]) == (403, "timestamp_too_old")
    assert [row.key for row in await store.list()] == ["evt_1"]


async def test_store_away() -> None:
    """Without PostgreSQL nothing is acknowledged: the sender is asked to come again."""
    async with running(settings(NOWHERE)) as client:
        answer = await refused(client, 503, "store_unavailable", content=body_of(), headers=signed(body_of()))
        assert answer.headers["retry-after"] == "5"
        assert (await client.get("/healthz")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "failed")
        assert "taiga_billing_rejected_total" in (await client.get("/metrics")).text


async def test_redis_away_does_not_matter(receiver: httpx.AsyncClient) -> None:
    """Without Redis webhooks are taken all the same, and readiness says what is degraded."""
    assert (await post(receiver, body_of())).status_code == 202
    ready = await receiver.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["checks"]["redis"]["status"] == "degraded"
    assert ready.json()["checks"]["postgresql"]["status"] == "ok"
    assert ready.json()["checks"]["worker"]["hint"] == "start a worker: taiga-billing worker"


async def test_readiness_while_postgresql_hangs(
    receiver: httpx.AsyncClient, clean_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readiness is told within its time, also when a table is locked."""
    monkeypatch.setattr(health, "PATIENCE_SECONDS", 0.05)
    blocker = await asyncpg.connect(clean_database)
    await blocker.execute("BEGIN; LOCK TABLE workers, remotes")
    ready = (await receiver.get("/readyz")).json()
    await blocker.close()
    assert ready["checks"]["worker"]["status"] == "degraded"
    assert ready["checks"]["postgresql"]["status"] == "ok"


async def test_metrics(receiver: httpx.AsyncClient) -> None:
    """What was received, how quickly, and what waits, is measured."""
    await post(receiver, body_of())
    text = (await receiver.get("/metrics")).text
    assert 'taiga_billing_events{status="received"} 1.0' in text
    assert 'taiga_billing_received_total{result="accepted",source="taiga"}' in text
    assert 'taiga_billing_ack_seconds_bucket{le="0.01",source="taiga"}' in text
    assert "taiga_billing_oldest_due_seconds" in text
    assert {RECEIVED, REJECTED, ACK_SECONDS}


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """The receiver behind a real socket, as `serve` runs it."""
    server = web_server(app, "127.0.0.1", 0)
    running_server = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running_server


async def raw(url: str, *parts: bytes) -> bytes:
    """What a server answers to these bytes until it closes the connection."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_slow_body_is_cut(clean_database: str) -> None:
    """Who does not send the announced body in time is told so, and the connection is closed."""
    before = counted("too_slow")
    async with served(create_app(settings(clean_database, body_timeout=0.1))) as url:
        answer = await raw(url, b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert counted("too_slow") == before + 1


async def test_sender_that_goes_away(clean_database: str) -> None:
    """Who goes away in the middle of the body is counted, and leaves the receiver as it was."""
    before = counted("disconnected")
    async with served(create_app(settings(clean_database))) as url:
        where = urlsplit(url)
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await post(client, body_of())).status_code == 202
        async with asyncio.timeout(5):
            while counted("disconnected") != before + 1:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)


async def test_chunked_and_kept_alive(clean_database: str) -> None:
    """Bodies in chunks are read, and one connection carries many deliveries, refused ones among them."""

    async def chunks(body: bytes) -> AsyncIterator[bytes]:
        yield body[:10]
        yield body[10:]

    async with (
        served(create_app(settings(clean_database))) as url,
        httpx.AsyncClient(base_url=url, limits=httpx.Limits(max_connections=1)) as client,
    ):
        for number in range(1, 4):
            body = body_of(data={"id": number})
            answer = await client.post("/webhooks/taiga", content=chunks(body), headers=signed(body))
            assert answer.status_code == 202
            assert (await post(client, body, {})).status_code == 403
