"""The sandbox Invoice Ninja, and on request a real one, answers the recorded requests as the recorded server did.

By default the stories are replayed against the sandbox in-process. With `INVOICE_NINJA_API` (`https://.../api/v1`) and
`INVOICE_NINJA_TOKEN` they are sent to that server instead: use a fresh company of its own, records are created there.
"""

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from tests.contract.ninja_ids import IdMap
from tests.contract.replay import Exchange, Story, differences, load_stories, send

STORIES = load_stories("invoice_ninja")
RECORDED_AT = datetime(2026, 11, 21, 7, 31, tzinfo=UTC)

USUAL_HEADERS = {"X-API-TOKEN": "{token}", "X-Requested-With": "XMLHttpRequest", "Accept": "application/json"}

VOLATILE = frozenset(
    {
        "created_at",
        "updated_at",
        "archived_at",
        "client_hash",
        "contact_key",
        "key",
        "link",
        "links",
        "sent_date",
        "message_id",
        "last_login",
    }
)
"""Random keys, stamps and addresses: only their types are compared."""

USED_VOLATILE = frozenset({"date", "due_date", "last_sent_date", "company_name", "user_name", "country_id", "settings"})
"""What depends on the day and the company of a server in use, besides the keys above."""


NEEDS = {
    "own company": "changes settings of the whole company",
    "recorded day": "fills in the day on which it was recorded",
    "bare numbers": "is about the length of a number, and here numbers have a prefix",
}
"""Why a server in use is not asked what needs this."""


@dataclass(frozen=True)
class Server:
    """A server under test: a client for it and a way to let time pass; one `in_use` holds rows of others."""

    client: httpx.AsyncClient
    token: str
    ids: IdMap
    wait: Callable[[float], Awaitable[None]]
    in_use: bool = False


def reason_to_skip(exchange: Exchange) -> str:
    """Say why a server in use is not asked this; empty when it is."""
    path, _, query = exchange.path.partition("?")
    if exchange.needs:
        return NEEDS[exchange.needs]
    if exchange.method == "GET" and re.fullmatch(r"/api/v1/\w+", path) and not re.search(r"(^|&)(id_)?number=", query):
        return "the list holds rows of others, too" if isinstance(exchange.response, dict | list) else ""
    return ""


class Clock:
    """The time of the sandbox: stands still unless told."""

    def __init__(self) -> None:
        self.now = RECORDED_AT

    def __call__(self) -> datetime:
        """Give the current time."""
        return self.now

    async def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@asynccontextmanager
async def fresh_server() -> AsyncIterator[Server]:
    """Give the real server that the environment names, else a fresh sandbox."""
    live = os.environ.get("INVOICE_NINJA_API")
    if live:
        ids = IdMap(f"{secrets.token_hex(3)}.")
        async with httpx.AsyncClient(base_url=live.removesuffix("/").removesuffix("/api/v1"), timeout=30) as client:
            yield Server(client, os.environ["INVOICE_NINJA_TOKEN"], ids, asyncio.sleep, in_use=True)
        return
    clock = Clock()
    transport = httpx.ASGITransport(app=create_app(NinjaState(clock=clock)))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Server(client, DEFAULT_TOKEN, IdMap(), clock.advance)


async def replay(server: Server, exchange: Exchange) -> list[str]:
    """Send one exchange and list the differences of its answer."""
    await server.wait(exchange.advance)
    asked = server.ids.outgoing(exchange)
    headers = {key: value.replace("{token}", server.token) for key, value in (asked.headers or USUAL_HEADERS).items()}
    response = await send(server.client, replace(asked, headers=headers))
    if response.content and response.headers.get("content-type", "").startswith("application/json"):
        server.ids.learn(exchange, response.json())
    volatile = VOLATILE | USED_VOLATILE if server.in_use else VOLATILE
    return differences(server.ids.outgoing(exchange), response, volatile)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name.partition(":")[0])
async def test_story_is_answered_as_recorded(story: Story) -> None:
    """Every exchange of a story, in order, gets the recorded status, type, keys, types and values."""
    async with fresh_server() as server:
        wrong = await differences_of(story, server)
    assert not wrong, "\n" + "\n".join(wrong)


async def differences_of(story: Story, server: Server) -> list[str]:
    """Replay a story and list what differs, with the exchange in front."""
    wrong = []
    for exchange in story.exchanges:
        if server.in_use and reason_to_skip(exchange):
            continue
        found = await replay(server, exchange)
        wrong += [f"{exchange.name} ({exchange.method} {exchange.path}): {line}" for line in found]
    return wrong


async def test_server_in_use_is_tested_by_mapping_ids() -> None:
    """The suite also fits a server that holds other rows: here one sandbox gets all stories after each other."""
    clock = Clock()
    transport = httpx.ASGITransport(app=create_app(NinjaState(clock=clock)))
    wrong = []
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        for index, story in enumerate(STORIES):
            server = Server(client, DEFAULT_TOKEN, IdMap(f"s{index}."), clock.advance, in_use=True)
            wrong += await differences_of(story, server)
    assert not wrong, "\n" + "\n".join(wrong)


def test_suite_is_rich() -> None:
    """The copies cover every kind of answer that the real server gave, in more than 500 exchanges."""
    exchanges = [exchange for story in STORIES for exchange in story.exchanges]
    assert len(exchanges) >= 500
    assert {exchange.status for exchange in exchanges} >= {200, 302, 400, 401, 403, 404, 412, 422, 500}
