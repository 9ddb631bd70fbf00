"""The sandbox Invoice Ninja, and on request a real one, answers the recorded requests as the recorded server did.

By default the stories are replayed against the sandbox in-process. With `INVOICE_NINJA_API` (`https://.../api/v1`) and
`INVOICE_NINJA_TOKEN` they are sent to that server instead: use a fresh company of its own, records are created there.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from middleware.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
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

LIVE_VOLATILE = frozenset({"date", "due_date", "last_sent_date", "user_id", "company_name", "user_name", "total"})
"""What depends on the day, the company and the rows a real server had before."""

LIVE_NEEDS = {"own company": "changes the settings of the whole company"}
"""Set-ups that a real server is not asked for, and why."""


class Server:
    """A server under test: a client for it and a way to let time pass."""

    def __init__(self, client: httpx.AsyncClient, token: str, pause: Callable[[float], None] | None) -> None:
        self.client = client
        self.token = token
        self.ids = IdMap()
        self._pause = pause
        self.is_live = pause is None

    async def wait(self, seconds: float) -> None:
        """Let the seconds pass: really on a real server, on the clock of the sandbox otherwise."""
        if self._pause is None:
            await asyncio.sleep(seconds)
        else:
            self._pause(seconds)


class Clock:
    """The time of the sandbox: stands still unless told."""

    def __init__(self) -> None:
        self.now = RECORDED_AT

    def __call__(self) -> datetime:
        """Give the current time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@asynccontextmanager
async def fresh_server() -> AsyncIterator[Server]:
    """Give the real server that the environment names, else a fresh sandbox."""
    live = os.environ.get("INVOICE_NINJA_API")
    if live:
        async with httpx.AsyncClient(base_url=live.removesuffix("/").removesuffix("/api/v1"), timeout=30) as client:
            yield Server(client, os.environ["INVOICE_NINJA_TOKEN"], None)
        return
    clock = Clock()
    transport = httpx.ASGITransport(app=create_app(NinjaState(clock=clock)))
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        yield Server(client, DEFAULT_TOKEN, clock.advance)


async def replay(server: Server, exchange: Exchange) -> list[str]:
    """Send one exchange and list the differences of its answer."""
    await server.wait(exchange.advance)
    asked = server.ids.outgoing(exchange)
    headers = {key: value.replace("{token}", server.token) for key, value in (asked.headers or USUAL_HEADERS).items()}
    response = await send(server.client, replace(asked, headers=headers))
    if response.content and response.headers.get("content-type", "").startswith("application/json"):
        server.ids.learn(exchange, response.json())
    volatile = VOLATILE | LIVE_VOLATILE if server.is_live else VOLATILE
    return differences(server.ids.outgoing(exchange), response, volatile)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name.partition(":")[0])
async def test_story_is_answered_as_recorded(story: Story) -> None:
    """Every exchange of a story, in order, gets the recorded status, type, keys, types and values."""
    wrong = []
    async with fresh_server() as server:
        for exchange in story.exchanges:
            if server.is_live and exchange.needs in LIVE_NEEDS:
                continue
            found = await replay(server, exchange)
            wrong += [f"{exchange.name} ({exchange.method} {exchange.path}): {line}" for line in found]
    assert not wrong, "\n" + "\n".join(wrong)


def test_suite_is_rich() -> None:
    """The copies cover every kind of answer that the real server gave, in more than 500 exchanges."""
    exchanges = [exchange for story in STORIES for exchange in story.exchanges]
    assert len(exchanges) >= 500
    assert {exchange.status for exchange in exchanges} >= {200, 302, 400, 401, 403, 404, 412, 422, 500}
