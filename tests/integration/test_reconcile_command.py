"""`taiga-billing reconcile taiga` as people run it: text, JSON, exit codes."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from middleware.commands.reconcile import group as reconcile
from middleware.commands.reconcile.group import command
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.taiga import create_app
from middleware.lab.sandbox.taiga.people import BRIDGE, PASSWORD, Place, Team
from middleware.store.database import migrate, open_pool
from middleware.store.operations.circuits import Circuit, CircuitStore
from middleware.store.operations.reconcile import RunStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def faults() -> Faults:
    """What goes wrong at Taiga."""
    return Faults()


@pytest.fixture
async def team(
    fresh_database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faults: Faults
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
    async with serve(create_app(team.state, faults)) as address:
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
    assert (difference["task"], difference["why"]) == ("#1: Loose end", "closed, but no webhook reported it")
    real = await _run("--since", "30d")
    assert real.exit_code == 0
    assert "1 items listed, 1 read whole, 1 enqueued" in real.stdout
    again = await _run("--dry-run")
    assert (again.exit_code, "0 would be enqueued" in again.stdout) == (0, True)


@pytest.mark.usefixtures("team")
async def test_wrong_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What leaves nothing to look at is wrong use, and missing credentials too; each says what to do."""
    later = await _run("--dry-run", "--since", "2999-01-01")
    assert (later.exit_code, "still to come" in later.output) == (2, True)
    unknown = await _run("--project", "77")
    assert (unknown.exit_code, "names no project 77" in unknown.output) == (2, True)
    monkeypatch.setenv("TAIGA_PASSWORD", "")
    bare = await _run()
    assert (bare.exit_code, "TAIGA_USERNAME" in bare.output) == (2, True)
    (tmp_path / "mappings.json").write_text("{}")
    empty = await _run("--dry-run")
    assert (empty.exit_code, "names no project" in empty.output) == (2, True)


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
        assert (told.exit_code, "1 enqueued" in told.stdout) == (0, True)
        assert f"taiga is away since {now:%Y-%m-%d %H:%M:%S} UTC (no connection); the workers" in told.stderr
        assert "stripe" not in told.stderr
        assert [name for name, one in (await circuits.all()).items() if one.is_open] == ["stripe"]


async def test_taiga_away(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Taiga that cannot be reached is a failure with its reason."""
    monkeypatch.setenv("TAIGA_API", "http://127.0.0.1:9/api/v1")
    away = await _run()
    assert (away.exit_code, "taiga" in away.output) == (1, True)


@pytest.mark.usefixtures("team")
async def test_a_dry_run_finds_the_same_as_often_as_one_likes() -> None:
    """It remembers nothing: not what it found, and not what it read again."""
    for _ in range(3):
        dry = await _run("--dry-run", "--json")
        assert (dry.exit_code, len(json.loads(dry.stdout)["differences"])) == (3, 1)


async def test_a_dry_run_leaves_the_rolling_look_where_it_was(team: Team) -> None:
    """Hours typed late, in more tasks than are read again: dry runs all find the same ones, and say what is left."""
    cards = [Place(team, next(iter(team.state.projects.values()))).loose_task(f"Late {n}").close() for n in range(4)]
    assert (await _run()).exit_code == 0
    for card in cards:
        card.fill({"Billable": True, "Duration (Hours)": 1})
    found = []
    for _ in range(2):
        dry = await _run("--dry-run", "--reread", "2", "--json")
        report = json.loads(dry.stdout)
        assert (dry.exit_code, report["items_read"], report["unread"]) == (3, 2, 3)
        found.append([one["subject"] for one in report["differences"]])
    assert found[0] == found[1] != []
    assert "3 unchanged ones not read again" in (await _run("--dry-run", "--reread", "2")).stdout


async def test_a_dry_run_that_did_not_look_at_everything_never_says_that_there_is_nothing(
    team: Team, faults: Faults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of it refused, failing, left to the next run, or hidden from our account: exit code 1, and why on stderr."""
    faults.add(path="/custom-attributes-values/", status=403)
    hidden = await _run("--dry-run")
    assert (hidden.exit_code, "taiga:task:1 was left out" in hidden.stderr) == (1, True)
    faults.add(path="/custom-attributes-values/", status=500)
    assert (await _run("--dry-run")).exit_code == 1
    with monkeypatch.context() as context:
        context.setattr(reconcile, "MOST_READS", 0)
        left = await _run("--dry-run")
        assert (left.exit_code, "1 more, which are left to the next run" in left.stderr) == (1, True)
    (role,) = {one.role for one in team.state.memberships.values() if one.user == team.bridge}
    allowed = role.permissions
    role.permissions = allowed - {"view_tasks"}
    blind = await _run("--dry-run")
    assert (blind.exit_code, "may not see items of type task in it" in blind.stderr) == (1, True)
    role.permissions = allowed
    mapping = {"taiga_project_id": 77, "invoiceninja_client_id": "acme", "default_hourly_rate": 75}
    (tmp_path / "mappings.json").write_text(json.dumps({"project_mappings": [mapping]}))
    gone = await _run("--dry-run", "--since", "1d")
    assert (gone.exit_code, "project 77 was left out" in gone.stderr) == (1, True)


@pytest.mark.usefixtures("team")
async def test_beside_another_run(fresh_database: str) -> None:
    """While one by the clock is under way, a command looks at nothing, and says so; afterwards it does."""
    await migrate(fresh_database)
    async with open_pool(fresh_database, size=1) as pool, RunStore(pool).alone("taiga"):
        for arguments in ((), ("--dry-run",)):
            busy = await _run(*arguments)
            assert (busy.exit_code, "under way: this one looked at nothing" in busy.stderr) == (1, True)
    assert (await _run("--dry-run")).exit_code == 3


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM)])
async def test_interrupted(faults: Faults, sent: signal.Signals, code: int) -> None:
    """A dry run that is ended from outside while Taiga hangs does not end well."""
    faults.add(path="/custom-attributes-values/", action="hang")
    arguments = ("-m", "middleware", "reconcile", "taiga", "--dry-run")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, cwd=ROOT)
    async with asyncio.timeout(60):
        while not faults.hanging:  # noqa: ASYNC110 - asked by another process
            await asyncio.sleep(0.02)
        process.send_signal(sent)
        assert await process.wait() == code
    faults.heal()
