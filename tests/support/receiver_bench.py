"""A receiver in this process, and deliveries to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from middleware.app import create_app
from middleware.metrics import REGISTRY
from middleware.settings import Settings
from middleware.sources.signing import sign_taiga

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
