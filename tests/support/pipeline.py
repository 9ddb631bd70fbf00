"""Small helpers for tests of the pipe: events as the receiver would store them, and what became of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg

from handlers.event import NewEvent
from mappings.codes import Code
from middleware.store.database import open_pool
from middleware.store.events.claim_records import AttemptRecord, Claim, StatusChange
from middleware.store.events.claims import Claims
from middleware.store.events.events import EventStore

BASE_TIME = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
_keys = count(1)


def new_event(subject: str = "taiga:task:1", seconds: float = 0, **changes: Any) -> NewEvent:
    """An event that happened `seconds` after the base time, with a key of its own."""
    fields: dict[str, Any] = {
        "source": "taiga",
        "type": "task.change",
        "key": f"key-{next(_keys)}",
        "subject": subject,
        "occurred_at": BASE_TIME + timedelta(seconds=seconds),
        "body": json.dumps({"subject": subject, "seconds": seconds}).encode(),
        "headers": {"user-agent": "test"},
        **changes,
    }
    return NewEvent(**fields)


@asynccontextmanager
async def event_store(url: str, size: int = 4) -> AsyncIterator[tuple[EventStore, asyncpg.Pool]]:
    """An event store with the pool behind it."""
    async with open_pool(url, size=size) as pool:
        yield EventStore(pool), pool


@asynccontextmanager
async def claims(url: str, on_lost: Callable[[], None] = lambda: None) -> AsyncIterator[Claims]:
    """The claims of one worker, freed at the end."""
    held = Claims(url, on_lost)
    try:
        yield held
    finally:
        await held.close()


async def finish(held: Claims, claim: Claim, status: str = "processed") -> None:
    """Settle all events of a claim in the same way."""
    await held.settle(claim.hold, *settlement(claim, status), [claim.subject])


def settlement(claim: Claim, status: str = "processed") -> tuple[list[StatusChange], list[AttemptRecord]]:
    """All events of a claim end alike, with one attempt."""
    lead = claim.due[-1]
    attempt = AttemptRecord(lead.id, lead.attempts, BASE_TIME, 1, status, Code.TIME_RECORDED, "")
    return [StatusChange(event.id, status, Code.TIME_RECORDED, f"{status} in a test") for event in claim.due], [attempt]


async def statuses(pool: asyncpg.Pool) -> dict[str, int]:
    """How many events are in which status."""
    rows = await pool.fetch("SELECT status, count(*) AS n FROM events GROUP BY status")
    return {row["status"]: row["n"] for row in rows}


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Wait for a condition; a test that waits in vain fails with a TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the condition lives in a server, not in this loop
            await asyncio.sleep(0.01)
