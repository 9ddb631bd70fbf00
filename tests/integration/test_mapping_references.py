"""Names in mappings.json that mean nothing: the worker asks a person, and `mappings show` marks them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from handlers.ports.context import Context
from mappings.config.file import parse_mapping
from middleware.alerts.conditions import Watched, read_conditions
from middleware.clients.connect import Systems, connect_invoice_ninja, connect_taiga
from middleware.clients.taiga import Credentials
from middleware.clients.taiga.decode import TaigaProject
from middleware.commands.mappings import command
from middleware.dashboard.labels import review_name
from middleware.jobs.periodic import NotNowError, nightly, run_if_due
from middleware.jobs.references import KIND, reference_jobs, reference_run
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import ADMIN, PASSWORD, Team
from middleware.mapping.references import LOOK_UP
from middleware.mapping.watch import LOADED, WatchedMapping
from middleware.store.billing.links import ReviewStore
from middleware.store.database import Pool, open_pool
from middleware.store.operations.attention import AttentionStore
from middleware.store.operations.audit import AuditStore
from middleware.store.operations.circuits import CircuitStore
from middleware.store.operations.timetable import Timetable
from middleware.traffic.traffic import Traffic
from tests.support.fakes import World as Fakes

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@dataclass
class World:
    """A project of one client, as the file names them, and the systems that know both."""

    team: Team
    project: dict[str, Any]
    systems: Systems
    pool: Pool
    addresses: dict[str, str]

    def context(self, project: dict[str, Any] | None = None, **more: Any) -> Context:
        """With this mapping."""
        mapping = parse_mapping(json.dumps({"project_mappings": [self.project | (project or {})]} | more))
        return replace(Fakes(mapping).context, reviews=ReviewStore(self.pool))

    async def summaries(self) -> list[str]:
        """Of the open reviews."""
        return [row.summary for row in await ReviewStore(self.pool).list_open(KIND)]


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[World]:
    """Everything has its meaning."""
    team = Team()
    place = team.project("Acme")
    async with (
        serve(create_taiga(team.state)) as taiga_url,
        serve(create_ninja()) as ninja_url,
        open_pool(fresh_database, size=3) as pool,
    ):
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with httpx.AsyncClient(base_url=f"{ninja_url}/api/v1", headers=headers) as http:
            client_id = (await http.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
            body = {"name": "Site", "client_id": client_id}
            project_id = (await http.post("/projects", json=body)).json()["data"]["id"]
        taiga = connect_taiga(taiga_url, Credentials(username=ADMIN, password=PASSWORD))
        ninja = connect_invoice_ninja(ninja_url, DEFAULT_TOKEN)
        project = {
            "taiga_project_id": place.id,
            "invoiceninja_client_id": client_id,
            "invoiceninja_project_id": project_id,
            "user_rates": {ADMIN: 90},
        }
        addresses = {"TAIGA_API": taiga_url, "INVOICE_NINJA_API": ninja_url}
        yield World(team, project, Systems(ninja, taiga), pool, addresses)
        await taiga.aclose()
        await ninja.aclose()


async def test_one_review_asks_for_all_and_closes_by_itself(world: World) -> None:
    """A client, a project and a user that mean nothing are one review and one alert, until all mean something."""
    assert await reference_run(world.systems, world.context()) == "every name means something"
    assert await world.summaries() == []
    wrong = world.context(
        {"user_rates": {ADMIN.upper(): 90}, "invoiceninja_project_id": "gone"}, client_rules={"Acmee": {}}
    )
    await reference_run(world.systems, wrong)
    assert await reference_run(world.systems, wrong) == "3 names mean nothing: see the open reviews"
    (summary,) = await world.summaries()
    assert "client_rules.Acmee: Invoice Ninja has no single live client" in summary
    assert 'invoiceninja_project_id: its client in Invoice Ninja has no live project "gone"' in summary
    assert f'did you mean "{ADMIN}"?' in summary
    observed = await read_conditions(world.pool, Watched((), 0, "host", str), NOW)
    assert [one.summary for kind in observed for one in kind.conditions if one.kind == "review"] == [summary]
    assert (await AttentionStore(world.pool).attention(100)).things == 1
    assert review_name(KIND) == "A name in mappings.json means nothing"
    await reference_run(world.systems, world.context())
    assert await world.summaries() == []


async def test_many_names_are_shortened(world: World) -> None:
    """The summary has the first five; the details have all."""
    await reference_run(world.systems, world.context(client_rules={f"nobody{number}": {} for number in range(7)}))
    (row,) = await ReviewStore(world.pool).list_open(KIND)
    assert row.summary.endswith("; and 2 more")
    assert len(row.details["problems"]) == 7


async def test_a_project_that_taiga_does_not_show(world: World) -> None:
    """It means nothing, as a client that is gone; of its users nothing is said."""
    await reference_run(world.systems, world.context({"taiga_project_id": 999, "user_rates": {"zed": 1}}))
    (summary,) = await world.summaries()
    assert "project_mappings[0].taiga_project_id: Taiga shows us no project 999" in summary
    assert "zed" not in summary


async def test_what_cannot_be_asked_closes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is away, or a project without members, leaves the review as it is; tried again soon."""
    await reference_run(world.systems, world.context(client_rules={"Acmee": {}}))
    before = await world.summaries()
    away = connect_invoice_ninja("http://127.0.0.1:9", "token")
    with pytest.raises(NotNowError):
        await reference_run(Systems(away, world.systems.taiga), world.context())
    await away.aclose()
    taiga = world.systems.taiga
    assert taiga is not None
    whole = taiga.project

    async def without_members(project_id: int) -> TaigaProject:
        return replace(await whole(project_id), members=())

    monkeypatch.setattr(taiga, "project", without_members)
    assert "shows us no members" in await reference_run(world.systems, world.context())
    assert await world.summaries() == before
    assert await reference_run(Systems(world.systems.ninja), world.context()) == "every name means something"
    assert await world.summaries() == []


async def test_due_each_night_and_when_the_file_was_loaded(world: World, tmp_path: Path) -> None:
    """Among the workers one looks; after the file was loaded it is due once all workers have it, once."""
    traffic, table = Traffic(CircuitStore(world.pool), {}, {}), Timetable(world.pool)
    (job,) = reference_jobs(world.systems, world.context, traffic)
    now = datetime.now(UTC)
    assert not await run_if_due(table, job, now)
    assert await run_if_due(table, job, now)
    assert not await run_if_due(table, job, datetime.now(UTC))
    found = await table.find(LOOK_UP)
    assert found is not None
    assert (found.next_at, found.message) == (nightly(3, 40)(now), "every name means something")
    file = tmp_path / "mappings.json"
    file.write_text(json.dumps({"project_mappings": [world.project]}))
    watching = asyncio.create_task(WatchedMapping(file, look_seconds=0.01).run(world.pool))
    async with asyncio.timeout(30):
        while (await table.all())[0].next_at == found.next_at:  # noqa: ASYNC110 - another task changes it
            await asyncio.sleep(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert len(await AuditStore(world.pool).list(action=LOADED)) == 1
    later = datetime.now(UTC) + timedelta(seconds=15)
    assert not await run_if_due(table, job, later - timedelta(seconds=15))
    assert await run_if_due(table, job, later)
    assert not await run_if_due(table, job, later)


async def _show(file: Path, *arguments: str) -> Result:
    # The command has an event loop of its own, and the sandboxes need this one.
    return await asyncio.to_thread(CliRunner().invoke, command, ["show", "--mapping", str(file), *arguments])


async def test_show_marks_them(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the rule is marked, the reason is below; as JSON too."""
    monkeypatch.chdir(tmp_path)
    credentials = {"TAIGA_USERNAME": ADMIN, "TAIGA_PASSWORD": PASSWORD, "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN}
    others = {"LOG_LEVEL": "warning", "TAIGA_WEBHOOK_SECRETS": "key"}
    for name, value in (world.addresses | credentials | others).items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "mappings.json"
    file.write_text(json.dumps({"project_mappings": [world.project]}))
    good = await _show(file)
    assert (good.exit_code, "see below" in good.output, "means nothing" in good.output) == (0, False, False)
    file.write_text(json.dumps({"project_mappings": [world.project | {"user_rates": {ADMIN.upper(): 90}}]}))
    lines = (await _show(file)).output.splitlines()
    assert [line.split()[0] for line in lines if line.endswith("<- see below")] == [f"user_rates.{ADMIN.upper()}"]
    assert lines[-1].startswith(f"means nothing: project_mappings[0].user_rates.{ADMIN.upper()}: no member")
    (shown,) = json.loads((await _show(file, "--json")).output).values()
    assert [one["hint"] for one in shown["unresolved"]] == [f'did you mean "{ADMIN}"?']
    assert shown["not_looked_up"] == []
    monkeypatch.setenv("INVOICE_NINJA_API", "http://127.0.0.1:9/api/v1")
    away = await _show(file)
    assert (away.exit_code, "names were not looked up: invoiceninja:" in away.output) == (0, True)
