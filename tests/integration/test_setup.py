"""`taiga-billing setup` against sandbox servers, as people run it."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from middleware.checks.stripe import WANTED_EVENTS
from middleware.commands.setup import FROM_ENVIRONMENT, command
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import create_app as create_stripe
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import ADMIN, PASSWORD, Team
from middleware.settings import load_settings
from middleware.setup.files import read_env

PUBLIC = "https://billing.example"
DECLINED = {2: "Globex", 3: "Internal"}
NAMES = ["Billable", "Duration (Hours)", "Hourly Rate", "Client Invoice ID", "Invoice Status"]


@dataclass
class World:
    """Sandboxes with two clients and three Taiga projects without anything of ours."""

    team: Team
    ninja: Any
    stripe: Any
    urls: dict[str, str]
    clients: dict[str, str]

    @property
    def hooks(self) -> list[tuple[str, str, str]]:
        """Project, address and key of every webhook in Taiga."""
        return [(hook.project.name, hook.url, hook.key) for hook in self.team.state.hooks.values()]

    @property
    def endpoints(self) -> list[dict[str, Any]]:
        """The endpoints in Stripe."""
        return list(self.stripe.state.stripe.tables["webhook_endpoint"])

    def attributes(self, project: str) -> list[tuple[str, str, Any]]:
        """Name, type and options of the task attributes of a project."""
        state = self.team.state
        place = next(one for one in state.projects.values() if one.name == project)
        return [(one.name, one.type, one.extra) for one in state.attributes_of(place, "task")]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The sandboxes; the working directory is empty, and so is the environment."""
    team, ninja, stripe = Team(), create_ninja(), create_stripe()
    for name in ("Acme Website", "Globex", "Internal"):
        team.project(name, attributes=False)
    monkeypatch.chdir(tmp_path)
    for variable in (*FROM_ENVIRONMENT, "MAPPINGS_FILE", "SOURCES"):
        monkeypatch.delenv(variable, raising=False)
    async with AsyncExitStack() as stack:
        servers = {"taiga": create_taiga(team.state), "ninja": ninja, "stripe": stripe}
        urls = {name: await stack.enter_async_context(serve(app)) for name, app in servers.items()}
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        clients = {}
        async with httpx.AsyncClient(base_url=f"{urls['ninja']}/api/v1", headers=headers) as client:
            for name in ("Acme GmbH", "Globex Inc"):
                answer = await client.post("/clients", json={"name": name})
                clients[name] = answer.json()["data"]["id"]
            project = {"name": "Website", "client_id": clients["Acme GmbH"], "task_rate": 80}
            clients["Website"] = (await client.post("/projects", json=project)).json()["data"]["id"]
        yield World(team, ninja, stripe, urls, clients)


def credentials(world: World, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Put everything that `--yes` needs into the environment."""
    values = {
        "INVOICE_NINJA_API": world.urls["ninja"],
        "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
        "TAIGA_API": world.urls["taiga"],
        "TAIGA_USERNAME": ADMIN,
        "TAIGA_PASSWORD": PASSWORD,
        "STRIPE_API_KEY": "sk_test_x",
        "STRIPE_API_BASE": world.urls["stripe"],
        "PUBLIC_URL": PUBLIC,
        **changes,
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)


async def _run(*arguments: str, answers: str | None = None) -> Result:
    # The command has an event loop of its own, and the sandboxes need this one.
    return await asyncio.to_thread(CliRunner().invoke, command, ["--no-check", *arguments], input=answers)


async def test_a_conversation(world: World, tmp_path: Path) -> None:
    """Wrong answers are asked for again with the server's words; the rest is proposed and confirmed."""
    answers = [
        world.urls["ninja"],
        "wrong-token",
        world.urls["ninja"],
        DEFAULT_TOKEN,
        world.urls["taiga"],
        ADMIN,
        "wrong password",
        world.urls["taiga"],
        ADMIN,
        PASSWORD,
        "",  # no Stripe
        PUBLIC,
        "",  # Acme Website: as proposed
        "",  # at the rate of the project in Invoice Ninja
        "glob",  # Globex
        "no number",
        "95",
        "-",  # Internal: nobody
        "yesterday",
        "2026-11-01",
        "y",
    ]
    result = await _run(answers="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert "this does not work: invoiceninja: GET /api/v1/ping answered 403: Invalid token" in result.output
    assert "No active account found with the given credentials" in result.output
    assert "'no number' is not a rate" in result.output
    assert "'yesterday' is not a date" in result.output
    assert "Internal (3) is not billed to anybody" in result.output
    assert DEFAULT_TOKEN not in result.output
    written = json.loads((tmp_path / "mappings.json").read_text())["project_mappings"]
    assert [(one["taiga_project_name"], one["default_hourly_rate"]) for one in written] == [
        ("Acme Website", 80),
        ("Globex", 95),
    ]
    assert [one["billable_from"] for one in written] == ["2026-11-01"] * 2
    assert written[0]["invoiceninja_project_id"] == world.clients["Website"]
    env = read_env((tmp_path / ".env").read_text())
    assert world.hooks == [
        (name, f"{PUBLIC}/webhooks/taiga", env["TAIGA_WEBHOOK_SECRETS"]) for name in ("Acme Website", "Globex")
    ]
    assert len(env["TAIGA_WEBHOOK_SECRETS"]) >= 40
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert [name for name, _type, _extra in world.attributes("Globex")] == NAMES
    assert world.attributes("Globex")[4][1:] == ("dropdown", ["Not Billable", "Pending Invoice", "Invoiced"])
    assert world.attributes("Internal") == []


async def test_declined_stays_declined(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whom a person left out by `-` is left out by --yes and --again too, which say so; --map takes it in."""
    credentials(world, monkeypatch)
    file = tmp_path / "mappings.json"

    def written() -> tuple[list[str], list[dict[str, Any]]]:
        data = json.loads(file.read_text())
        names = [one["taiga_project_name"] for one in data["project_mappings"]]
        return names, data.get("declined_projects", [])

    answers = ["", "", "-", "-", "", "y"]  # Acme Website as proposed; nobody pays for Globex, nor for Internal
    result = await _run(answers="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert '; leave out "Globex", "Internal"' in result.output
    globex, internal = ({"taiga_project_id": key, "taiga_project_name": name} for key, name in DECLINED.items())
    assert written() == (["Acme Website"], [globex, internal])
    before = file.read_text()
    for arguments, enter in [(["--yes"], None), (["--yes", "--again"], None), ([], ""), (["--again"], "\n" * 15)]:
        again = await _run(*arguments, answers=enter)
        assert again.exit_code == 0, again.output
        assert "Globex (2)" in again.output
        assert 'a person declined it ("declined_projects" in mappings.json)' in again.output
        assert "setup --map 2=CLIENT[/PROJECT] bills it anyway" in again.output
        assert file.read_text() == before
    await _run("--yes", "--map", f"2={world.clients['Globex Inc']}")
    assert written() == (["Acme Website", "Globex"], [internal])
    await _run("--yes", "--map", f"3={world.clients['Globex Inc']}")
    assert written() == (["Acme Website", "Globex", "Internal"], [])


async def test_unattended_and_again(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --yes everything comes from the environment; a second run changes nothing."""
    credentials(world, monkeypatch)
    result = await _run("--yes")
    assert result.exit_code == 0, result.output
    (endpoint,) = world.endpoints
    assert set(endpoint["enabled_events"]) == set(WANTED_EVENTS)
    env = (tmp_path / ".env").read_text()
    assert read_env(env)["STRIPE_WEBHOOK_SECRETS"] == world.stripe.state.stripe.secrets[endpoint["id"]]
    for secret in ("INVOICE_NINJA_TOKEN", "TAIGA_PASSWORD", "STRIPE_API_KEY"):
        monkeypatch.delenv(secret)
    assert load_settings().enabled_sources == ("taiga", "stripe")
    before = (env, (tmp_path / "mappings.json").read_text(), world.hooks)
    again = await _run("--yes")
    assert "Nothing is left for setup to do." in again.output
    assert before == ((tmp_path / ".env").read_text(), (tmp_path / "mappings.json").read_text(), world.hooks)
    assert len(world.endpoints) == 1


async def test_dry_run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run shows the plan, changes nothing, and ends with 3 while something is missing."""
    credentials(world, monkeypatch)
    result = await _run("--yes", "--dry-run")
    assert result.exit_code == 3
    assert "Acme Website: register the webhook https://billing.example/webhooks/taiga" in result.output
    assert 'Globex: add the task attribute "Billable" (checkbox)' in result.output
    assert not (tmp_path / ".env").exists()
    assert not (tmp_path / "mappings.json").exists()
    assert (world.hooks, world.endpoints) == ([], [])
    await _run("--yes")
    assert (await _run("--yes", "--dry-run")).exit_code == 0


async def test_only_what_is_missing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people wrote stays: comments, rates, keys; a lost attribute, a foreign key and a lost event come back."""
    credentials(world, monkeypatch, TAIGA_WEBHOOK_SECRETS="first-key,second-key")
    await _run("--yes", "--map", f"3={world.clients['Acme GmbH']}@1.50")
    env, mapping = tmp_path / ".env", tmp_path / "mappings.json"
    env.write_text(env.read_text() + "# mine\nOTHER=1\n")
    state = world.team.state
    hook = next(iter(state.hooks.values()))
    hook.key = "foreign"
    hooks = len(state.hooks)
    lost = next(key for key, one in state.attributes["task"].items() if one.name == "Billable")
    del state.attributes["task"][lost]
    stripe = world.stripe.state.stripe
    stripe.change(world.endpoints[0], enabled_events=["invoice.paid"])
    texts = env.read_text(), mapping.read_text()
    assert "1.50" in texts[1]
    result = await _run("--yes")
    assert result.output.count("  done: ") == 3, result.output
    assert (hook.key, len(state.hooks)) == ("first-key", hooks)
    assert texts == (env.read_text(), mapping.read_text())
    assert set(world.endpoints[0]["enabled_events"]) == set(WANTED_EVENTS)


async def test_another_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a new public address our webhooks are led there, and no second one is made."""
    credentials(world, monkeypatch)
    await _run("--yes")
    result = await _run("--yes", "--public-url", "https://new.example")
    assert "change the address of the webhook taiga-billing from" in result.output
    assert {url for _project, url, _key in world.hooks} == {"https://new.example/webhooks/taiga"}


async def test_taiga_refuses_the_address(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without a dot is warned of, refused in Taiga's words, and everything else is done all the same."""
    credentials(world, monkeypatch, PUBLIC_URL="http://middleware:8000")
    result = await _run("--yes")
    assert result.exit_code == 1
    assert 'Warning: Taiga refuses the host name "middleware"' in result.output
    assert "Invalid value." in result.output
    assert [name for name, _type, _extra in world.attributes("Globex")] == NAMES
    assert read_env((tmp_path / ".env").read_text())["TAIGA_USERNAME"] == ADMIN


async def test_a_mere_member(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is no administrator in Taiga is told what remains to be done there."""
    credentials(world, monkeypatch, TAIGA_USERNAME="bridge")
    result = await _run("--yes")
    assert result.exit_code == 0, result.output
    assert "our Taiga user is not an administrator of this project" in result.output
    assert '- Globex: add the task attribute "Billable" (checkbox)' in result.output
    assert world.hooks == []


async def test_stripe_endpoint_without_its_secret(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret of an endpoint that is there cannot be read: the key is not kept without it, and people are told."""
    credentials(world, monkeypatch)
    await _run("--yes")
    (tmp_path / ".env").unlink()
    result = await _run("--yes")
    assert "Stripe shows the signing secret of an endpoint only once" in result.output
    assert "STRIPE_API_KEY" not in read_env((tmp_path / ".env").read_text())


async def test_what_cannot_go_on(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing answers are wrong use, refused ones and a broken mapping file end it with their words."""
    missing = await _run("--yes")
    assert (missing.exit_code, "missing: INVOICE_NINJA_API, INVOICE_NINJA_TOKEN" in missing.output) == (2, True)
    credentials(world, monkeypatch, TAIGA_PASSWORD="wrong")
    assert (await _run("--yes")).exit_code == 1
    credentials(world, monkeypatch)
    (tmp_path / "mappings.json").write_text("{")
    broken = await _run("--yes")
    assert (broken.exit_code, "is not JSON" in broken.output) == (2, True)
    assert not (tmp_path / ".env").exists()
    assert (await _run("--yes", "--map", "x")).exit_code == 2
    assert (await _run("--yes", "--rate", "0")).exit_code == 2


async def test_unknown_wishes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project or client that does not exist is named."""
    credentials(world, monkeypatch)
    result = await _run("--yes", "--map", "99=abc", "--map", "3=abc/def")
    assert "--map 99: Taiga shows us no such project" in result.output
    assert "--map 3: Invoice Ninja shows us no abc/def" in result.output


async def test_it_ends_with_a_check(
    world: World, fresh_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the end everything is looked at, with the settings that were written."""
    credentials(world, monkeypatch)
    monkeypatch.setenv("DATABASE_URL", fresh_database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("LOG_LEVEL", "warning")
    result = await _run("--yes", "--rate", "70", "--check")
    assert result.exit_code == 0, result.output
    assert "taiga-billing check:" in result.output
    assert '"taiga-billing" is registered; Taiga has sent nothing yet' in result.output
    assert "0 failed" in result.output
