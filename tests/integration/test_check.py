"""`taiga-billing check` against sandbox servers: all is well, then one thing after the other is not."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from middleware.checks.stripe import WANTED_EVENTS
from middleware.clients.connect import connect_taiga
from middleware.clients.stripe.client import STRIPE_VERSION, connect_stripe
from middleware.clients.taiga import Credentials
from middleware.commands.check import command
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import create_app as create_stripe
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import ADMIN, PASSWORD, Team

PUBLIC = "https://billing.example"


@dataclass
class World:
    """The sandboxes behind the settings."""

    team: Team
    ninja: Any
    stripe: Any
    mapping: Path


@pytest.fixture
async def world(
    fresh_database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Everything is set up right; the environment points to it."""
    team, ninja, stripe = Team(), create_ninja(), create_stripe()
    place = team.project("Acme", hook=f"{PUBLIC}/webhooks/taiga")
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as stack:
        taiga_url = await stack.enter_async_context(serve(create_taiga(team.state)))
        ninja_url = await stack.enter_async_context(serve(ninja))
        stripe_url = await stack.enter_async_context(serve(stripe))
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with httpx.AsyncClient(base_url=f"{ninja_url}/api/v1", headers=headers) as client:
            client_id = (await client.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
        await _register_endpoint(stripe_url)
        mapping = tmp_path / "mappings.json"
        project = {"taiga_project_id": place.id, "invoiceninja_client_id": client_id, "default_hourly_rate": 60}
        zone = {"timezone": "Pacific/Midway"}
        mapping.write_text(json.dumps({"project_mappings": [project], "billing_rules": zone}))
        for name, value in {
            "TAIGA_API": taiga_url,
            "TAIGA_USERNAME": ADMIN,
            "TAIGA_PASSWORD": PASSWORD,
            "TAIGA_WEBHOOK_SECRETS": "taiga-lab-webhook-key",
            "INVOICE_NINJA_API": ninja_url,
            "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
            "STRIPE_API_KEY": "sk_test_x",
            "STRIPE_API_BASE": stripe_url,
            "STRIPE_WEBHOOK_SECRETS": "whsec_x",
            "DATABASE_URL": fresh_database,
            "REDIS_URL": redis_url,
            "PUBLIC_URL": PUBLIC,
            "ALERT_URLS": "json://127.0.0.1:1/x",
            "LOG_LEVEL": "warning",
        }.items():
            monkeypatch.setenv(name, value)
        yield World(team, ninja, stripe, mapping)


async def _register_endpoint(stripe_url: str) -> None:
    client = connect_stripe(stripe_url, "sk_test_x")
    fields = {"url": f"{PUBLIC}/webhooks/stripe", "enabled_events": WANTED_EVENTS, "api_version": STRIPE_VERSION}
    await client.post("/v1/webhook_endpoints", fields, idempotency_key="once")
    await client.aclose()


async def _check(*arguments: str) -> tuple[Result, list[dict[str, str]]]:
    # The command has an event loop of its own, and the sandboxes need this one.
    result = await asyncio.to_thread(CliRunner().invoke, command, ["--json", *arguments])
    return result, json.loads(result.stdout)["findings"] if result.stdout else []


def _wrong(findings: list[dict[str, str]]) -> dict[str, str]:
    return {one["name"]: one["message"] for one in findings if one["level"] != "ok"}


async def test_all_is_well(world: World) -> None:
    """Nothing is complained of but that no worker runs; each part was looked at."""
    result, findings = await _check()
    assert result.exit_code == 0
    assert list(_wrong(findings)) == ["worker"]
    names = {one["name"] for one in findings}
    assert {"postgresql", "redis", "disk", "queue", "invoice ninja rights", "taiga clock", "stripe clock"} <= names
    assert any("sends all" in one["message"] for one in findings)


async def test_names_that_are_nobodys(world: World) -> None:
    """A client of client_rules that does not exist and a user rate of nobody fail the check, with what was meant."""
    mapping = json.loads(world.mapping.read_text())
    client_id = mapping["project_mappings"][0]["invoiceninja_client_id"]
    mapping |= {"client_rules": {f"{client_id}x": {}}, "user_rates": {ADMIN.upper(): 90}}
    world.mapping.write_text(json.dumps(mapping))
    result, findings = await _check()
    assert result.exit_code == 1
    hints = {one["name"]: one["hint"] for one in findings if one["level"] == "failed"}
    assert hints == {
        f"mapping file client_rules.{client_id}x": f'did you mean "{client_id}" (Acme)?',
        f"mapping file user_rates.{ADMIN.upper()}": f'did you mean "{ADMIN}"?',
    }


async def test_no_administrators(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token without rights is a fault; webhooks that a mere member cannot see are worth a warning."""
    world.ninja.state.ninja.rights = {"is_admin": False, "is_owner": False}
    monkeypatch.setenv("TAIGA_USERNAME", "bridge")
    result, findings = await _check()
    assert result.exit_code == 1
    assert "does not belong to an administrator" in _wrong(findings)["invoice ninja rights"]
    assert "cannot be seen" in _wrong(findings)["project_mappings[0] taiga webhook"]


async def test_a_webhook_that_leads_elsewhere(world: World) -> None:
    """A webhook to another address is shown, and is not ours."""
    (hook,) = world.team.state.hooks.values()
    hook.url = "https://old.example/webhooks/taiga"
    result, findings = await _check()
    assert f"none leads to {PUBLIC}/webhooks/taiga, only to {hook.url}" in str(_wrong(findings))
    assert result.exit_code == 1


async def test_failed_deliveries_are_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Taiga logged of its own deliveries is shown with its words."""
    (hook,) = world.team.state.hooks.values()
    hook.url = "http://localhost:9/webhooks/taiga"
    monkeypatch.setenv("PUBLIC_URL", "http://localhost:9")
    taiga = connect_taiga(os.environ["TAIGA_API"], Credentials(username=ADMIN, password=PASSWORD))
    await taiga.test_webhook(hook.id)
    await taiga.aclose()
    result, findings = await _check()
    said = _wrong(findings)["project_mappings[0] taiga webhook"]
    assert "1 of the last 1 deliveries failed" in said
    assert "could not be sent: error-in-request" in said
    assert result.exit_code == 1


async def test_wrong_credentials(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each system that refuses us is a fault of its own, and the others are looked at all the same."""
    monkeypatch.setenv("TAIGA_PASSWORD", "wrong")
    monkeypatch.setenv("INVOICE_NINJA_TOKEN", "wrong")
    monkeypatch.setenv("STRIPE_API_KEY", "wrong")
    result, findings = await _check()
    assert {"invoice ninja", "taiga", "stripe"} <= set(_wrong(findings))
    assert result.exit_code == 1
    assert "wrong" not in {word for one in findings for word in one["message"].split()}


async def test_addresses_that_are_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that cannot be one is a finding, not a crash."""
    for name in ("TAIGA_API", "INVOICE_NINJA_API", "STRIPE_API_BASE"):
        monkeypatch.setenv(name, "http://")
    _result, findings = await _check()
    assert {"invoice ninja", "taiga", "stripe"} <= set(_wrong(findings))


async def test_as_text(world: World) -> None:
    """People see a line for each finding, the hint below what is wrong, and the sum."""
    result = await asyncio.to_thread(CliRunner().invoke, command, [])
    assert "-> start it: taiga-billing up" in result.output
    assert result.output.rstrip().endswith("0 failed, 1 warning")
