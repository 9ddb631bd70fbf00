"""What is old goes, what is needed stays: bodies first, whole events later."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from handlers.ports.context import Link
from mappings.errors import NotUnderstood
from middleware.commands import housekeeping as command
from middleware.jobs.housekeeping import keep_house
from middleware.pipeline.attempt import work_of
from middleware.settings import Settings
from middleware.store.billing.links import LinkStore
from middleware.store.database import open_pool
from middleware.store.events import retention as housekeeping
from middleware.store.events.actions import EventActions
from middleware.store.events.events import EventStore
from middleware.store.events.replayed import as_replayed
from tests.support.pipeline import BASE_TIME, new_event

NOW = BASE_TIME + timedelta(days=1000)
SETTINGS = Settings(_env_file=None, taiga_webhook_secrets=(SecretStr("key"),))


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """An empty store."""
    async with open_pool(fresh_database, size=3) as opened:
        yield opened


async def _add(pool: asyncpg.Pool, subject: str, status: str, age_days: float, seconds: float = 0) -> int:
    (stored,) = await EventStore(pool).insert([new_event(subject, seconds)])
    arrived = NOW - timedelta(days=age_days)
    await pool.execute(
        "UPDATE events SET status = $2, received_at = $3::timestamptz,"
        " finished_at = CASE WHEN $2 = ANY ('{processed,ignored,dead,discarded}') THEN $3::timestamptz END"
        " WHERE id = $1",
        stored.event_id,
        status,
        arrived,
    )
    return stored.event_id


async def _link(pool: asyncpg.Pool, subject: str) -> None:
    await LinkStore(pool).save(Link(subject, "time_entry", f"N-{subject}", "t1", {}))


async def _left(pool: asyncpg.Pool) -> dict[int, bool]:
    """The events that are left, and whether they have a body."""
    rows = await pool.fetch("SELECT id, octet_length(body) > 0 AS has_body FROM events ORDER BY id")
    return {row["id"]: row["has_body"] for row in rows}


async def test_what_goes_and_what_stays(pool: asyncpg.Pool) -> None:
    """By age, status, and whether a later webhook will be judged by it. A second round finds nothing."""
    ancient = {
        "deleted": await _add(pool, "taiga:task:1", "processed", 800),
        "discarded": await _add(pool, "taiga:task:2", "discarded", 800),
        "older of a link": await _add(pool, "taiga:task:3", "processed", 800, 0),
        "newest of a link": await _add(pool, "taiga:task:3", "processed", 800, 1),
        "dead": await _add(pool, "taiga:task:4", "dead", 800),
        "retrying": await _add(pool, "taiga:task:5", "retrying", 800),
    }
    old = {
        "plain": await _add(pool, "taiga:task:6", "ignored", 200),
        "newest of a payment": await _add(pool, "stripe:payment:pi_1", "processed", 200),
    }
    young = await _add(pool, "taiga:task:7", "processed", 100)
    await _link(pool, "taiga:task:3")
    await pool.execute(
        "INSERT INTO payments (identity, subject, status) VALUES ('pi_1', 'stripe:payment:pi_1', 'paid')"
    )
    done = await keep_house(SETTINGS, pool, NOW)
    assert (done.events_removed, done.bodies_removed) == (3, 1)
    assert await _left(pool) == {
        ancient["newest of a link"]: True,
        ancient["dead"]: True,
        ancient["retrying"]: True,
        old["plain"]: False,
        old["newest of a payment"]: True,
        young: True,
    }
    again = await keep_house(SETTINGS, pool, NOW)
    assert (again.events_removed, again.bodies_removed) == (0, 0)


async def test_a_late_end_counts(pool: asyncpg.Pool) -> None:
    """An old event that was replayed yesterday is as young as its end."""
    event_id = await _add(pool, "taiga:task:1", "processed", 800)
    await pool.execute("UPDATE events SET finished_at = $1", NOW - timedelta(days=1))
    await keep_house(SETTINGS, pool, NOW)
    assert await _left(pool) == {event_id: True}


async def test_zero_keeps_for_ever(pool: asyncpg.Pool) -> None:
    """Nothing is removed when nothing may be."""
    event_id = await _add(pool, "taiga:task:1", "processed", 900)
    for_ever = SETTINGS.model_copy(update={"retention_days": 0, "retention_summary_days": 0})
    await keep_house(for_ever, pool, NOW)
    assert await _left(pool) == {event_id: True}


async def test_in_batches(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are, a statement touches a bounded range of them."""
    monkeypatch.setattr(housekeeping, "IDS_AT_A_TIME", 3)
    for number in range(10):
        await _add(pool, f"taiga:task:{number}", "processed", 300)
    assert (await keep_house(SETTINGS, pool, NOW)).bodies_removed == 10


async def test_a_removed_body_cannot_be_replayed(pool: asyncpg.Pool) -> None:
    """A replay passes it over, a dry run says why; the event itself can still be looked at."""
    event_id = await _add(pool, "taiga:task:1", "processed", 300)
    await keep_house(SETTINGS, pool, NOW)
    assert await EventActions(pool).replay([event_id], "test") == []
    (claim,) = await as_replayed(pool, [event_id], NOW)
    with pytest.raises(NotUnderstood, match="RETENTION_DAYS"):
        work_of(claim)
    found = await EventStore(pool).find(event_id)
    assert (found is not None and found.status) == "processed"


async def test_addresses_are_forgotten(pool: asyncpg.Pool) -> None:
    """Refused requests hold addresses of people: they go with the bodies."""
    await pool.execute(
        "INSERT INTO rejections (source, reason, message, address, minute, first_at, last_at, requests)"
        " SELECT 'taiga', 'x', '', '192.0.2.1', at, at, at, 1 FROM unnest($1::timestamptz[]) AS at",
        [NOW - timedelta(days=200), NOW - timedelta(days=1)],
    )
    assert (await keep_house(SETTINGS, pool, NOW)).rejections_removed == 1


async def test_the_command(fresh_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does a round and says what was done; with --new-key it prints a key that works."""
    for name, value in {"DATABASE_URL": fresh_database, "REDIS_URL": redis_url, "TAIGA_WEBHOOK_SECRETS": "k"}.items():
        monkeypatch.setenv(name, value)
    done = await asyncio.to_thread(CliRunner().invoke, command.command, [])
    assert (done.exit_code, "0 bodies and 0 events removed" in done.output) == (0, True)
    key = CliRunner().invoke(command.command, ["--new-key"]).output.strip()
    monkeypatch.setenv("ENCRYPTION_KEYS", key)
    sealing = await asyncio.to_thread(CliRunner().invoke, command.command, ["--json"])
    assert sealing.exit_code == 0
    monkeypatch.setenv("ENCRYPTION_KEYS", "nonsense")
    wrong = await asyncio.to_thread(CliRunner().invoke, command.command, [])
    assert (wrong.exit_code, "ENCRYPTION_KEYS: key 1 is not valid" in wrong.output) == (2, True)
    monkeypatch.delenv("ENCRYPTION_KEYS")
    missing = await asyncio.to_thread(CliRunner().invoke, command.command, [])
    assert (missing.exit_code, "add it again" in missing.output) == (1, True)
