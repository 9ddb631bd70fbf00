"""Everything Taiga was recorded to send, in any order: the time entries that the last state of each item calls for."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from middleware.settings import Settings
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.in_process_stack import (
    ARQ_CLOSES_AS_OF_OLD,
    RATE,
    Entry,
    Ninja,
    Task,
    deliver,
    invoice_ninja,
    receiver,
    stack_settings,
    worker,
)
from tests.support.pipeline import statuses, until
from tests.support.recorded import taiga_webhooks

pytestmark = pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
LETTERS = {"task": "T", "userstory": "US", "issue": "I"}


def expected(client_id: str) -> list[Entry]:
    """What the last webhook (by date) of every item calls for; computed apart from the code under test."""
    newest: dict[tuple[str, int], dict[str, Any]] = {}
    for webhook in taiga_webhooks():
        payload = webhook.payload
        if payload["type"] in LETTERS:
            key = (payload["type"], payload["data"]["id"])
            newest[key] = max(newest.get(key, payload), payload, key=lambda told: told["date"])
    entries = []
    for (kind, item_id), payload in newest.items():
        data, values = payload["data"], payload["data"]["custom_attributes_values"] or {}
        is_closed = data["status"]["is_closed"] or (kind == "userstory" and data["is_closed"])
        hours = values.get("Duration (Hours)")
        if payload["action"] == "delete" or not is_closed or values.get("Billable") is not True or not hours:
            continue
        finished = data.get("finished_date") or data.get("finish_date") or payload["date"]
        ended_at = int(datetime.fromisoformat(finished).timestamp())
        rate = Decimal(str(values.get("Hourly Rate", RATE)))
        entries.append(Entry(f"TAIGA-{LETTERS[kind]}{item_id}", Decimal(str(hours)), rate, client_id, ended_at))
    return sorted(entries, key=lambda entry: entry.number)


def orders() -> list[Any]:
    """The recorded order, shuffled ones, and each delivery three times."""
    recorded = [webhook.body for webhook in taiga_webhooks()]
    cases = [pytest.param(recorded, id="recorded"), pytest.param(recorded[::-1], id="backwards")]
    for seed in (1, 2):
        chance = random.Random(seed)  # noqa: S311 - repeatable chance
        cases.append(pytest.param(chance.sample(recorded, len(recorded)), id=f"shuffled-{seed}"))
        cases.append(pytest.param(chance.sample(recorded * 3, len(recorded) * 3), id=f"thrice-{seed}"))
    return cases


@dataclass(frozen=True)
class Stack:
    """An empty store, a fresh Invoice Ninja, and the settings to run receiver and worker with them."""

    settings: Settings
    pool: asyncpg.Pool
    ninja: Ninja


@pytest.fixture
async def stack(clean_database: str, fresh_redis: str, tmp_path: Path) -> AsyncIterator[Stack]:
    """Everything but receiver and worker."""
    async with invoice_ninja() as ninja, open_pool(clean_database, size=2) as pool:
        yield Stack(stack_settings(clean_database, fresh_redis, ninja, tmp_path), pool, ninja)


async def drained(pool: asyncpg.Pool) -> bool:
    """Whether nothing waits any more."""
    return not {"received", "processing", "retrying"} & (await statuses(pool)).keys()


@pytest.mark.parametrize("bodies", orders())
async def test_recorded_webhooks(stack: Stack, bodies: list[bytes]) -> None:
    """Whatever the order and however often each is sent: exactly the entries that the last states call for."""
    async with receiver(stack.settings) as client, worker(stack.settings):
        assert set(await deliver(client, bodies)) <= {200, 202}
        await until(lambda: drained(stack.pool))
        wanted = expected(stack.ninja.client_id)
        assert [entry.number for entry in wanted] == ["TAIGA-I1", "TAIGA-T1", "TAIGA-US2"]
        assert stack.ninja.entries == wanted


async def test_every_event_has_an_end_with_a_reason(stack: Stack) -> None:
    """Every recorded webhook ends processed, ignored or dead, with a reason; what is dead says what to do."""
    async with receiver(stack.settings) as client, worker(stack.settings):
        for body in [*(webhook.body for webhook in taiga_webhooks()), Task(99).webhook(hours="about two")]:
            await deliver(client, [body])
            await until(lambda: drained(stack.pool))
    rows = await EventStore(stack.pool).list(limit=1000)
    assert {row.status for row in rows} <= {"processed", "ignored", "dead"}
    assert all(row.reason for row in rows)
    (dead,) = [row for row in rows if row.status == "dead"]
    assert dead.reason.startswith("task #99 (http://front/task/99): ")
    assert "type the hours in Taiga" in dead.hint
    assert [row.reason for row in rows if row.type == "test.test"] == ["test"]


async def test_old_state_delivered_last(stack: Stack) -> None:
    """An older webhook that arrives after everything is settled changes nothing."""
    task = Task(5)
    old, new = task.webhook(hours=1), task.webhook(hours=3)
    async with receiver(stack.settings) as client, worker(stack.settings):
        for body in (new, old):
            await deliver(client, [body])
            await until(lambda: drained(stack.pool))
    assert [(entry.number, entry.hours) for entry in stack.ninja.entries] == [("TAIGA-T5", Decimal(3))]


async def test_spoiled_answers(stack: Stack) -> None:
    """Lost answers, 500, HTML with 200 and cut connections after the effect: one entry for each task in the end."""
    for spoil in (
        {"action": "cut", "when": "after"},
        {"action": "answer", "status": 500, "when": "after"},
        {"action": "html", "when": "after"},
        {"action": "cut"},
        {"action": "answer", "status": 500},
    ):
        stack.ninja.faults.add(method="POST", path="/tasks$", **spoil)
    async with receiver(stack.settings) as client, worker(stack.settings):
        await deliver(client, [Task(number).webhook() for number in range(1, 9)])
        await asyncio.sleep(0.1)
        await until(lambda: _hurried(stack.pool))
    assert [entry.number for entry in stack.ninja.entries] == [f"TAIGA-T{number}" for number in range(1, 9)]
    assert set(await statuses(stack.pool)) == {"processed"}


async def _hurried(pool: asyncpg.Pool) -> bool:
    """Make the next tries due at once, and tell whether all is done."""
    await pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'retrying'")
    return await drained(pool)


async def test_throttled_work_waits_as_asked(stack: Stack) -> None:
    """A 429 with Retry-After is obeyed, and nothing is asked of Invoice Ninja meanwhile."""
    stack.ninja.faults.add(method="GET", path="/clients", action="answer", status=429, retry_after=600)
    async with receiver(stack.settings) as client, worker(stack.settings):
        await deliver(client, [Task(1).webhook()])
        await until(lambda: _is_retrying(stack.pool))
        asked = stack.ninja.faults.count()
        await asyncio.sleep(0.5)
        assert stack.ninja.faults.count() == asked
    wait = await stack.pool.fetchval("SELECT extract(epoch FROM next_attempt_at - now())::float8 FROM events")
    assert 590 < wait < 760


async def _is_retrying(pool: asyncpg.Pool) -> bool:
    return await statuses(pool) == {"retrying": 1}
