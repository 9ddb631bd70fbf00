"""`taiga-billing events list|replay|discard` with filters: one door, pages, and queries that stay bounded."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from click.testing import CliRunner, Result

from middleware.commands.events.group import command
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.events.search import EventFilter, EventSearch
from tests.support.pipeline import new_event

OLD = timedelta(days=10)


@pytest.fixture
async def pool(fresh_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncpg.Pool]:
    """A store with six events: 1 to 3 dead (1 long ago, 3 by another reason), 4 processed, 5 retrying, 6 of Stripe."""
    for name, value in {
        "DATABASE_URL": fresh_database,
        "REDIS_URL": redis_url,
        "TAIGA_WEBHOOK_SECRETS": "key",
        "LOG_LEVEL": "warning",
    }.items():
        monkeypatch.setenv(name, value)
    async with open_pool(fresh_database, size=2) as opened:
        for number in range(1, 6):
            await EventStore(opened).insert([new_event(f"taiga:task:{number}")])
        await EventStore(opened).insert([new_event("stripe:payment:pi_1", source="stripe", type="charge.refunded")])
        await opened.execute(
            "UPDATE events SET status = (ARRAY['dead','dead','dead','processed','retrying','dead'])[id],"
            " reason = CASE WHEN id = 3 THEN 'no client 100% known' ELSE 'hours are nonsense' END, attempts = 3"
        )
        await opened.execute("UPDATE events SET received_at = now() - $1::interval WHERE id = 1", OLD)
        yield opened


async def _run(*arguments: str, answer: str = "") -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments), answer)


async def _statuses(pool: asyncpg.Pool) -> str:
    rows = await pool.fetch("SELECT status FROM events ORDER BY id")
    return " ".join(row["status"] for row in rows)


async def test_replay_by_filter(pool: asyncpg.Pool) -> None:
    """Only what passes every filter goes back to work, as if it had just come in, and the audit names it."""
    done = await _run(
        "replay", "--yes", "--status", "dead", "--source", "taiga", "--since", "7d", "--reason-like", "nonsense"
    )
    assert (done.exit_code, done.output) == (0, "event 2 queued again\n")
    assert await _statuses(pool) == "dead received dead processed retrying dead"
    query = "SELECT attempts = 0 AND reason = '' AND series_started_at > received_at FROM events WHERE id = 2"
    assert await pool.fetchval(query) is True
    assert await pool.fetchval("SELECT summary FROM audit") == "put event 2 back to work"


async def test_a_percent_sign_is_no_wildcard(pool: asyncpg.Pool) -> None:
    """Texts are searched as they are typed."""
    found = await _run("list", "--reason-like", "100% k", "--json")
    assert [row["id"] for row in json.loads(found.output)] == [3]
    assert json.loads((await _run("list", "--reason-like", "h%s", "--json")).output) == []


async def test_discard_by_filter_asks_first(pool: asyncpg.Pool) -> None:
    """Without --yes a person is asked; with no nothing happens; the reason stays with the events."""
    refused = await _run("discard", "--status", "dead", "--why", "old", answer="n\n")
    assert (refused.exit_code, await _statuses(pool)) == (1, "dead dead dead processed retrying dead")
    done = await _run("discard", "--status", "dead", "--until", "9d", "--why", "too old", "--yes")
    assert (done.exit_code, await _statuses(pool)) == (0, "discarded dead dead processed retrying dead")
    assert await pool.fetchval("SELECT reason FROM events WHERE id = 1") == "too old"


@pytest.mark.parametrize("arguments", [["replay"], ["discard", "--why", "x"], ["replay", "1", "--status", "dead"]])
@pytest.mark.usefixtures("pool")
async def test_all_events_must_be_meant(arguments: list[str]) -> None:
    """Neither ids nor a filter, or both: wrong use."""
    assert (await _run(*arguments)).exit_code == 2


async def test_pages(pool: asyncpg.Pool) -> None:
    """A page ends with how to get the next one; together they are everything, once."""
    first = await _run("list", "--limit", "4")
    assert first.output.endswith("there may be more: --before 3\n")
    rest = json.loads((await _run("list", "--limit", "4", "--before", "3", "--json")).output)
    assert [row["id"] for row in rest] == [2, 1]


async def test_dry_run_needs_the_settings_of_a_worker(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without mapping file the dry run refuses and says what is missing; nothing is put back to work."""
    monkeypatch.setenv("MAPPINGS_FILE", "missing.json")
    refused = await _run("replay", "2", "--dry-run")
    assert (refused.exit_code, "MAPPINGS_FILE" in refused.output) == (2, True)
    assert await _statuses(pool) == "dead dead dead processed retrying dead"


async def test_unknown_events_are_named(pool: asyncpg.Pool) -> None:
    """An id that is unknown or at work fails the command; the others are done."""
    done = await _run("replay", "99", "2")
    assert done.exit_code == 1
    assert "event 99 is unknown or being processed" in done.output
    assert "event 2 queued again" in done.output


async def test_filters_stay_quick_on_many_rows(pool: asyncpg.Pool) -> None:
    """50,000 rows: finding the dead of the last days reads the index of the dead, not the table."""
    await pool.execute(
        "INSERT INTO events (source, type, key, subject, occurred_at, body, status, received_at)"
        " SELECT 'taiga', 'task.change', 'many-' || n, 'taiga:task:' || n, now(), '{}', 'processed', now()"
        " FROM generate_series(1, 50000) AS n"
    )
    await pool.execute("ANALYZE events")
    wanted = EventFilter(status="dead", source="taiga", reason="nonsense", since=datetime.now(UTC) - OLD)
    conditions = await EventSearch(pool)._conditions(wanted, None)
    values = conditions.indexed_values + conditions.tried_values
    plan = await pool.fetch(f"EXPLAIN {conditions.query(51)}", *values)
    text = "\n".join(row[0] for row in plan)
    assert "events_dead" in text
    assert "Seq Scan" not in text
    since = datetime.now(UTC).date().isoformat()
    found = await _run("list", "--status", "dead", "--since", since, "--json")
    assert [row["id"] for row in json.loads(found.output)] == [6, 3, 2]
