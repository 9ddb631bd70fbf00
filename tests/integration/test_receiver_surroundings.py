"""The receiver and what is around it: other sources, PostgreSQL and Redis away, health, real sockets."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from starlette.applications import Starlette

from middleware.app import create_app
from middleware.metrics import ACK_SECONDS, RECEIVED, REJECTED
from middleware.sources.signing import sign_stripe
from middleware.store.events.events import EventStore
from middleware.web import health
from middleware.web.server import web_server
from tests.support.receiver_bench import NOWHERE, body_of, counted, post, refused, running, settings, signed


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
async def served(app: Starlette, body_seconds: float = 10) -> AsyncIterator[str]:
    """The receiver behind a real socket, as `serve` runs it."""
    server = web_server(app, "127.0.0.1", 0, body_seconds=body_seconds)
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
        return await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_slow_body_is_cut(clean_database: str) -> None:
    """Who does not send the announced body in time is told so, and the connection is closed."""
    before = counted("too_slow")
    async with served(create_app(settings(clean_database, body_timeout=0.1)), body_seconds=0.1) as url:
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
        async with asyncio.timeout(60):
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
