"""`taiga-billing events` and the settings it starts with: results as text and JSON, exit codes, hostile texts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from mappings.codes import Code
from middleware import cli
from middleware.commands import common
from middleware.store.database import open_pool
from middleware.store.events.claim_records import AttemptRecord, Doubt, StatusChange
from middleware.store.events.events import EventStore
from middleware.store.events.rechecks import remember_doubts
from tests.support.pipeline import BASE_TIME, claims, new_event, statuses

Call = Callable[..., Coroutine[Any, Any, Result]]

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
REASON = 'task #2: "Duration (Hours)" is "[/bold] two"'
CALL = {"system": "invoiceninja", "method": "POST", "path": "/tasks", "status": None, "ms": 3, "error": "lost"}
STRANGE = b'{"text": "[/red]\\ud800\\u0000", "long": ' + b"9" * 5000 + b', "bad": NaN, "hours": 0.1}'


@pytest.fixture
async def pool(clean_database: str) -> AsyncIterator[asyncpg.Pool]:
    """Events 1 to 4: processed with a call, dead with markup in its reason, received with strange texts, retrying."""
    async with open_pool(clean_database, size=2) as opened, claims(clean_database) as held:
        store = EventStore(opened)
        for number, status in ((1, "processed"), (2, "dead"), (4, "retrying")):
            subject = f"taiga:task:{number}"
            body = json.dumps({"number": number}).encode()
            (stored,) = await store.insert([new_event(subject, body=body)])
            (claim,) = await held.claim(1, [])
            calls = [
                {"system": "invoiceninja", "method": "POST", "path": "/tasks", "status": None, "ms": 3, "error": "x"}
            ]
            attempt = AttemptRecord(stored.event_id, 1, BASE_TIME, 5, status, Code.BAD_HOURS, REASON, calls)
            settlement = StatusChange(stored.event_id, status, Code.BAD_HOURS, REASON, "type them again", BASE_TIME)
            await held.settle(claim.hold, [settlement], [attempt], [subject])
        await store.insert([new_event("taiga:task:3", body=STRANGE)])
        yield opened


@pytest.fixture
def call(clean_database: str, fresh_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command in this process."""
    monkeypatch.chdir(tmp_path)
    # The logs of the test session stay as they are.
    monkeypatch.setattr(common, "configure_logs", lambda *_: None)
    environment: dict[str, str | None] = {
        "TAIGA_WEBHOOK_SECRETS": "key",
        "DATABASE_URL": clean_database,
        "REDIS_URL": fresh_redis,
    }

    async def run(command: str, **changes: str) -> Result:
        runner = CliRunner(env={**environment, **changes})
        return await asyncio.to_thread(runner.invoke, cli.group, command.split())

    return run


async def ids(pool: asyncpg.Pool) -> dict[int, int]:
    """Event ids by the number of their task."""
    rows = await pool.fetch("SELECT id, subject FROM events")
    return {int(row["subject"].rpartition(":")[2]): row["id"] for row in rows}


async def test_list(pool: asyncpg.Pool, call: Call) -> None:
    """Text shows every event with its reason as it was written; JSON parses."""
    text, as_json = await call("events list"), await call("events list --json")
    assert (text.exit_code, as_json.exit_code) == (0, 0)
    assert text.stdout.count("taiga:task:") == 4
    assert "[/bold] two" in text.stdout
    assert [row["status"] for row in json.loads(as_json.stdout)] == ["received", "retrying", "dead", "processed"]


async def test_list_filtered(pool: asyncpg.Pool, call: Call) -> None:
    """Status, source, subject and page narrow the list; nothing is a result, too."""
    dead = await call("events list --status dead --source taiga --json")
    assert [row["hint"] for row in json.loads(dead.stdout)] == ["type them again"]
    assert json.loads((await call("events list --subject nobody --json")).stdout) == []
    assert "no events" in (await call("events list --source stripe")).stdout
    assert (await call("events list --status lost")).exit_code == 2
    assert (await call("events list --limit 0")).exit_code == 2


async def test_show(pool: asyncpg.Pool, call: Call) -> None:
    """An event is shown with its tries, calls and payload."""
    by_number = await ids(pool)
    shown = json.loads((await call(f"events show {by_number[1]} --json")).stdout)
    (attempt,) = shown["attempt_rows"]
    assert (attempt["outcome"], attempt["calls"][0]["method"], shown["payload"]) == ("processed", "POST", {"number": 1})
    for event_id in by_number.values():
        text = await call(f"events show {event_id}")
        assert (text.exit_code, f"event {event_id}" in text.stdout) == (0, True)


async def test_show_tells_what_people_did_between_attempts(pool: asyncpg.Pool, call: Call) -> None:
    """A replay stands before the attempt that it caused, which counts from 1 again; the payload comes if asked."""
    event_id = (await ids(pool))[1]
    assert (await call(f"events replay {event_id}")).exit_code == 0
    await pool.execute(
        "INSERT INTO attempts (event_id, number, started_at, duration_ms, outcome, outcome_code, reason)"
        " VALUES ($1, 1, now(), 1, 'processed', 'time_recorded', 'again')",
        event_id,
    )
    shown = await call(f"events show {event_id} --payload")
    lines = [line for line in shown.stdout.splitlines() if " UTC: " in line]
    first, *between, last = lines
    assert ("attempt 1" in first, "attempt 1" in last) == (True, True)
    # Other tests of this database may have acted on it, too.
    assert any("queued again" in line or "back to work" in line for line in between)
    assert '"number": 1' in shown.stdout
    assert '"number": 1' not in (await call(f"events show {event_id}")).stdout


async def test_replay_by_filter_asks(pool: asyncpg.Pool, call: Call) -> None:
    """Events that a filter chose are put back to work when somebody said yes, or --yes."""
    refused = await call("events replay --status dead")
    assert (refused.exit_code, "put 1 event back to work?" in refused.output) == (1, True)
    assert (await statuses(pool))["dead"] == 1
    assert (await call("events replay --status dead --yes")).exit_code == 0


async def test_show_second_look(pool: asyncpg.Pool, call: Call) -> None:
    """A subject of which a request may still be carried out says when it is looked at once more, and why."""
    event_id = await pool.fetchval("SELECT id FROM events WHERE subject = 'taiga:task:1'")
    async with pool.acquire() as connection:
        await remember_doubts(connection, [Doubt("taiga:task:1", event_id, "invoiceninja: POST /tasks: lost")])
        await connection.execute("UPDATE second_looks SET asked_at = '2026-11-21 12:00:00Z'")
    text = (await call(f"events show {event_id}")).stdout
    assert "  rechecked at 2026-11-21 12:05:00 UTC, because of invoiceninja: POST /tasks: lost" in text.splitlines()
    shown = json.loads((await call(f"events show {event_id} --json")).stdout)
    assert shown["second_look"]["why"] == "invoiceninja: POST /tasks: lost"


async def test_show_strange_payload(pool: asyncpg.Pool, call: Call) -> None:
    """Lone surrogates, NUL, numbers of 5,000 digits and NaN can be looked at, and the JSON is JSON."""
    event_id = (await ids(pool))[3]
    shown = json.loads((await call(f"events show {event_id} --json")).stdout, parse_constant=pytest.fail)
    assert shown["payload"]["text"] == "[/red]?\N{REPLACEMENT CHARACTER}"
    assert (shown["payload"]["bad"], shown["payload"]["hours"]) == ("NaN", "0.1")
    assert shown["payload"]["long"] == "9" * 5000
    assert (await call(f"events show {event_id}")).exit_code == 0


async def test_unknown_events(pool: asyncpg.Pool, call: Call) -> None:
    """An event that is not there is a failure, something that is no id is wrong use."""
    assert (await call("events show 999")).exit_code == 1
    assert (await call("events show none")).exit_code == 2
    assert (await call("events replay 999")).exit_code == 1


async def test_replay(pool: asyncpg.Pool, call: Call) -> None:
    """A finished event goes back to work; one at work does not."""
    event_id = (await ids(pool))[2]
    replayed = await call(f"events replay {event_id} --json")
    assert (replayed.exit_code, bool(json.loads(replayed.stdout))) == (0, True)
    assert (await statuses(pool))["received"] == 2
    assert (await call(f"events replay {event_id}")).exit_code == 1


async def test_discard(pool: asyncpg.Pool, call: Call) -> None:
    """A dead event is closed with a reason; without one it is wrong use; a processed one stays."""
    by_number = await ids(pool)
    assert (await call(f"events discard {by_number[2]}")).exit_code == 2
    assert (await call(f"events discard {by_number[2]} --why mistake --json")).exit_code == 0
    assert (await call(f"events discard {by_number[1]} --why mistake")).exit_code == 1
    assert (await statuses(pool))["discarded"] == 1


async def test_wrong_settings(call: Call) -> None:
    """Every wrong setting is named at once, and no secret is repeated."""
    wrong = await call("migrate", PORT="abc", LOG_LEVEL="loud", TAIGA_WEBHOOK_SECRETS="")
    assert wrong.exit_code == 2
    assert all(name in wrong.stderr for name in ("PORT", "LOG_LEVEL", "TAIGA_WEBHOOK_SECRETS"))
    assert "PORT: must be a whole number\n" in wrong.stderr
    stray = await call("migrate", TAIGA_WEBHOOK_SECRETS="hunter2,,x")
    assert (stray.exit_code, "stray comma" in stray.stderr, "hunter2" in stray.output) == (2, True, False)


async def test_store_away(call: Call) -> None:
    """PostgreSQL away is a failure, told in a sentence."""
    away = await call("events list", DATABASE_URL=NOWHERE)
    assert (away.exit_code, "is DATABASE_URL right" in away.stderr) == (1, True)


async def test_migrate_and_help(call: Call) -> None:
    """Migrating an up-to-date database applies nothing; help and version are told; unknown commands are wrong use."""
    assert json.loads((await call("migrate --json")).stdout) == {"applied": []}
    assert "events" in (await call("--help")).stdout
    assert (await call("--version")).exit_code == 0
    assert (await call("nonsense")).exit_code == 2
    assert "Did you mean 'events'?" in (await call("eventz")).stderr


async def test_a_missing_file_is_no_failure_of_postgresql() -> None:
    """The message names what is missing and guesses no cause."""

    async def read() -> None:
        Path("/nowhere/at/all").read_text("utf-8")  # noqa: ASYNC240 - it is not there

    with pytest.raises(common.FailedError, match=r"^/nowhere/at/all: No such file or directory$"):
        await asyncio.to_thread(common.run, read())
