"""`mappings test` over stored events, and `alerts` as people run it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from middleware.commands import alerts, mappings
from middleware.store.database import open_pool
from tests.support.in_process_stack import Task


@pytest.fixture
def environment(fresh_database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings of a database of its own; returns its address."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 60}
    (tmp_path / "mappings.json").write_text(json.dumps({"project_mappings": [project]}))
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": fresh_database,
        "REDIS_URL": redis_url,
        "TAIGA_WEBHOOK_SECRETS": "key",
        "LOG_LEVEL": "warning",
    }.items():
        monkeypatch.setenv(name, value)
    return fresh_database


async def _run(command: Any, *arguments: str) -> Any:
    # The command has an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, command, list(arguments))


async def test_stored_events(environment: str) -> None:
    """The newest event of each task of the last days is judged; events whose body was removed are passed over."""
    task = Task(1, hours=1)
    bodies = [task.webhook(), task.webhook(hours=3), b""]
    async with open_pool(environment, size=1) as pool:
        for second, body in enumerate(bodies):
            await pool.execute(
                "INSERT INTO events (source, type, key, subject, occurred_at, body)"
                " VALUES ('taiga', 'task.change', $1, 'taiga:task:1', to_timestamp($2), $3)",
                str(second),
                second,
                body,
            )
    result = await _run(mappings.command, "test", "--json")
    (only,) = json.loads(result.stdout)
    assert (only["subject"], only["hours"], only["rate"]) == ("taiga:task:1", "3", "60.00")


async def test_a_body_that_cannot_be_read(environment: str) -> None:
    """What cannot be decoded is named, and the others are judged all the same."""
    async with open_pool(environment, size=1) as pool:
        await pool.execute(
            "INSERT INTO events (source, type, key, subject, occurred_at, body)"
            " VALUES ('taiga', 'task.change', 'k', 'taiga:task:1', now(), 'no JSON')"
        )
    result = await _run(mappings.command, "test", "--json")
    assert json.loads(result.stdout)[0]["outcome"] == "person"


async def test_alerts_list_and_test(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anything to tell, and without anybody to tell, both say so; an address that fails is named."""
    assert "nothing needs a person" in (await _run(alerts.command, "list")).output
    nobody = await _run(alerts.command, "test")
    assert (nobody.exit_code, "ALERT_URLS is not set" in nobody.output) == (2, True)
    monkeypatch.setenv("ALERT_URLS", "nonsense://hidden")
    failed = await _run(alerts.command, "test")
    assert (failed.exit_code, "1 (nonsense): apprise does not know" in failed.output) == (1, True)
    assert "hidden" not in failed.output


async def test_alerts_list_shows_what_lasts(environment: str) -> None:
    """What needs a person is listed though nobody is to be told, each task once, with when somebody was told of it."""
    async with open_pool(environment, size=1) as pool:
        for number in (1, 1, 2):
            await pool.execute(
                "INSERT INTO events (source, type, key, subject, occurred_at, body, status, reason) VALUES"
                " ('taiga', 'task.change', gen_random_uuid()::text, $1, now(), '{}', 'dead', 'no rate')",
                f"taiga:task:{number}",
            )
        await pool.execute(
            "INSERT INTO alerts (kind, key, summary, since, told_at)"
            " VALUES ('stuck', 'taiga:task:1', 'as it was', now(), '2026-11-21 10:00+00')"
        )
    output = (await _run(alerts.command, "list")).output
    assert "stuck: taiga:task:1, event 2: no rate (sent 2026-11-21 10:00 UTC)" in output
    assert "stuck: taiga:task:2, event 3: no rate (no message was sent)" in output
    assert "ALERT_URLS is not set" in output
    assert len(json.loads((await _run(alerts.command, "list", "--json")).stdout)) == 2


async def test_alerts_list_names_a_mapping_file_that_cannot_be_read(environment: str, tmp_path: Path) -> None:
    """The mapping file of this folder counts, too."""
    (tmp_path / "mappings.json").write_text("{")
    assert "mapping_broken: " in (await _run(alerts.command, "list")).output
