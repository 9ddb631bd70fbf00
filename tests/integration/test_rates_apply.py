"""`rates apply` with PostgreSQL: unbilled entries at the rates of now, and the events that make them so."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from handlers.event import NewEvent
from mappings.config.file import parse_mapping
from middleware.commands.rates import group as rates
from middleware.intake.ingest import Ingest
from middleware.reconcile.rates import enqueue_changes, find_changes
from middleware.store.billing.links import LinkStore
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.invoicing.life_bench import Desk, desk


async def _keep(at: Desk, pool: asyncpg.Pool) -> None:
    """Put the links of the desk and the webhooks of its tasks into the store."""
    for link in at.office.links.rows.values():
        await LinkStore(pool).save(link)
    for story in at.stories:
        event = story.events[-1]
        body = json.dumps(event.payload, default=str).encode()
        await EventStore(pool).insert(
            [NewEvent("taiga", event.type, event.key, event.subject, event.occurred_at, body)]
        )


async def test_unbilled_work_of_now(fresh_database: str) -> None:
    """Billed work stays; the rest shows its new sum and gets an event just before the newest one of its subject."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        await at.office.bill()
        await at.open_item("2")
        await _keep(at, pool)
        assert await find_changes(at.office.context, pool, None, None) == []
        project = {"taiga_project_id": 1, "invoiceninja_client_id": at.client_id, "default_hourly_rate": 100}
        at.office.mapping = parse_mapping(json.dumps({"project_mappings": [project]}))
        (change,) = await find_changes(at.office.context, pool, None, 1)
        assert change.entry.number == "TAIGA-T8"
        assert [str(change.entry.old_sum), str(change.entry.new_sum)] == ["160.00", "200.00"]
        assert await find_changes(at.office.context, pool, None, 2) == []
        assert await find_changes(at.office.context, pool, date(2099, 1, 1), None) == []
        notified: list[Sequence[int]] = []
        sink = Ingest(EventStore(pool), notified.append)
        assert await enqueue_changes([change, change], sink, datetime.now(UTC)) == 1
        row = await pool.fetchrow("SELECT * FROM events WHERE type = 'task.apply_rates'")
        assert row is not None
        assert (row["source"], row["subject"]) == ("schedule", "taiga:task:8")
        assert row["occurred_at"] == at.stories[1].now - timedelta(microseconds=1)
        assert len(notified) == 1


async def test_the_command(
    fresh_database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without recorded work there is nothing to change, and an Invoice Ninja that is away is said."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 60}
    (tmp_path / "mappings.json").write_text(json.dumps({"project_mappings": [project]}))
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": fresh_database,
        "REDIS_URL": redis_url,
        "INVOICE_NINJA_API": "http://127.0.0.1:9/api/v1",
        "INVOICE_NINJA_TOKEN": "t",
        "TAIGA_WEBHOOK_SECRETS": "key",
        "LOG_LEVEL": "error",
    }.items():
        monkeypatch.setenv(name, value)
    result = await asyncio.to_thread(CliRunner().invoke, rates.command, ["apply", "--dry-run"])
    assert result.exit_code == 1, result.output
    assert "invoiceninja" in result.output


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Each entry with its rates and sums, the sums of each client, and whether something is done."""
    rates._print([], dry_run=False, as_json=False)
    assert "all unbilled work has the rates of mappings.json" in capsys.readouterr().out


async def test_what_is_shown_of_a_change(fresh_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines and the JSON name the old and the new sum."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        await _keep(at, pool)
        project = {"taiga_project_id": 1, "invoiceninja_client_id": at.client_id, "default_hourly_rate": 100}
        at.office.mapping = parse_mapping(json.dumps({"project_mappings": [project]}))
        changes = await find_changes(at.office.context, pool, None, None)
        rates._print(changes, dry_run=False, as_json=False)
        out = capsys.readouterr().out
        assert "5 h at 80.00 -> 100.00 (default_hourly_rate of the project), 400.00 -> 500.00" in out
        assert f"client {at.client_id}: 400.00 -> 500.00" in out
        assert "the workers write the new rate of 1 entries" in out
        rates._print(changes, dry_run=True, as_json=True)
        shown = json.loads(capsys.readouterr().out)
        assert shown["clients"] == {at.client_id: {"old_sum": "400.00", "new_sum": "500.00"}}
        assert not shown["is_applied"]
