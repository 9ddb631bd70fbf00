"""`taiga-billing reconcile taiga` as people run it: text, JSON, exit codes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from middleware.breaker import Circuit
from middleware.commands.reconcile import command
from middleware.sandbox.serve import serve
from middleware.sandbox.taiga import create_app
from middleware.sandbox.taiga.people import BRIDGE, PASSWORD, Team
from middleware.store.circuits import CircuitStore
from middleware.store.database import migrate, open_pool


@pytest.fixture
async def team(
    fresh_database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Team]:
    """People with one loose closed task; the environment points to them."""
    team = Team()
    place = team.project("Acme")
    place.loose_task("Loose end").fill({"Billable": True, "Duration (Hours)": 2}).close()
    mapping = {
        "taiga_project_id": place.id,
        "invoiceninja_client_id": "acme",
        "default_hourly_rate": 75,
    }
    (tmp_path / "mappings.json").write_text(json.dumps({"project_mappings": [mapping]}))
    async with serve(create_app(team.state)) as address:
        for name, value in {
            "TAIGA_API": f"{address}/api/v1",
            "TAIGA_USERNAME": BRIDGE,
            "TAIGA_PASSWORD": PASSWORD,
            "TAIGA_WEBHOOK_SECRETS": "key",
            "DATABASE_URL": fresh_database,
            "REDIS_URL": redis_url,
            "MAPPINGS_FILE": str(tmp_path / "mappings.json"),
            "LOG_LEVEL": "warning",
        }.items():
            monkeypatch.setenv(name, value)
        yield team


async def _run(*arguments: str) -> Result:
    # The command has an event loop of its own, and the sandbox needs this one.
    return await asyncio.to_thread(CliRunner().invoke, command, ["taiga", *arguments])


@pytest.mark.usefixtures("team")
async def test_dry_run_then_real(capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run ends with 3 and shows what and why; then it is put in; then nothing is left to do."""
    dry = await _run("--dry-run", "--json")
    assert dry.exit_code == 3
    (difference,) = json.loads(dry.stdout)["differences"]
    assert (difference["task"], difference["why"]) == ("#1: Loose end", "closed, and no webhook told it")
    real = await _run("--since", "30d")
    assert real.exit_code == 0
    assert "1 items listed, 1 read whole, 1 put in" in real.stdout
    again = await _run("--dry-run")
    assert (again.exit_code, "0 would be put in" in again.stdout) == (0, True)


@pytest.mark.usefixtures("team")
async def test_wrong_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown project and missing credentials are wrong use, and say what to do."""
    unknown = await _run("--project", "77")
    assert (unknown.exit_code, "names no project 77" in unknown.output) == (2, True)
    monkeypatch.setenv("TAIGA_PASSWORD", "")
    bare = await _run()
    assert (bare.exit_code, "TAIGA_USERNAME" in bare.output) == (2, True)


@pytest.mark.usefixtures("team")
async def test_a_person_is_told_of_an_outage_and_goes_on(fresh_database: str) -> None:
    """The workers leave Taiga alone: the command says so, asks all the same, and its answer opens the way for them."""
    now = datetime.now(UTC)
    away = Circuit(5, "x", open_since=now, probe_at=now + timedelta(minutes=1), message="no connection")
    await migrate(fresh_database)
    async with open_pool(fresh_database, size=1) as pool:
        circuits = CircuitStore(pool)
        for system in ("taiga", "stripe"):
            await circuits.change(system, lambda _one: away)
        told = await _run()
        assert (told.exit_code, "1 put in" in told.stdout) == (0, True)
        assert f"taiga is away since {now:%Y-%m-%d %H:%M:%S} UTC (no connection); the workers" in told.stderr
        assert "stripe" not in told.stderr
        assert [name for name, one in (await circuits.all()).items() if one.is_open] == ["stripe"]
        assert await circuits.sharing() == 1


async def test_taiga_away(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Taiga that cannot be reached is a failure with its reason."""
    monkeypatch.setenv("TAIGA_API", "http://127.0.0.1:9/api/v1")
    away = await _run()
    assert (away.exit_code, "taiga" in away.output) == (1, True)
