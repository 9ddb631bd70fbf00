"""Three sandbox systems, an empty store, and an administrator in front of the dashboard."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from middleware.accounts.passwords import hash_password
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripeState
from middleware.lab.sandbox.stripe import create_app as create_stripe
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import BRIDGE, PASSWORD, Team
from middleware.settings import Settings
from middleware.sources.base import Delivery
from middleware.sources.table import SOURCES
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.users import UserStore
from tests.support.dashboard.seed import PASSWORD as ADAS
from tests.support.dashboard.visitor import Visitor, dashboard, dashboard_settings, visitor


@dataclass
class World:
    """Three systems, an empty store, and an administrator in front of it."""

    pool: asyncpg.Pool
    ada: Visitor
    ninja: httpx.AsyncClient
    stripe: StripeState
    team: Team
    ninja_faults: Faults
    folder: Path
    settings: Settings

    async def invoice(self, amount: int = 100, **fields: Any) -> str:
        """A sent invoice in Invoice Ninja; returns its id."""
        client = (await self.ninja.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
        line = {"notes": "work", "quantity": 1, "cost": amount, "type_id": "1"}
        body = {"client_id": client, "number": "2026-7", "line_items": [line], **fields}
        answer = await self.ninja.post("/invoices?mark_sent=true", json=body)
        return str(answer.json()["data"]["id"])

    async def closed_task(self) -> int:
        """A closed billable task of a mapped project in Taiga, whose events are dead; the id of the newest one."""
        sent: list[bytes] = []

        async def catch(_url: str, body: bytes, _headers: dict[str, str]) -> int:
            sent.append(body)
            return 202

        self.team.state.sender = catch
        place = self.team.project("Acme Website", hook="http://bridge.sandbox/webhooks/taiga")
        client = (await self.ninja.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
        project = {"taiga_project_id": place.id, "invoiceninja_client_id": client, "default_hourly_rate": 75}
        mapping = json.dumps({"project_mappings": [project]})
        await asyncio.to_thread((self.folder / "mappings.json").write_text, mapping, "utf-8")
        place.story("Story").task("Build").fill({"Billable": True, "Duration (Hours)": 2}).close()
        await self.team.deliver()
        read = SOURCES["taiga"].read
        events = [read(Delivery(body, {}, datetime.now(UTC)), json.loads(body)) for body in sent]
        await EventStore(self.pool).insert(events)
        await self.pool.execute("UPDATE events SET status = 'dead', finished_at = now()")
        newest = "SELECT id FROM events WHERE type LIKE 'task.%' ORDER BY occurred_at DESC, id DESC LIMIT 1"
        return int(await self.pool.fetchval(newest))


@asynccontextmanager
async def running_world(url: str, redis_url: str, folder: Path, **more: object) -> AsyncIterator[World]:
    """Everything, for as long as the block is open."""
    team, faults, account = Team(), Faults(), StripeState()
    async with (
        open_pool(url, size=2) as pool,
        serve(create_taiga(team.state)) as taiga_url,
        serve(create_ninja(NinjaState(), faults)) as ninja_url,
        serve(create_stripe(account)) as stripe_url,
    ):
        await UserStore(pool).add("ada", "admin", hash_password(ADAS))
        settings = {
            "taiga_api": f"{taiga_url}/api/v1",
            "taiga_username": BRIDGE,
            "taiga_password": PASSWORD,
            "invoice_ninja_api": f"{ninja_url}/api/v1",
            "invoice_ninja_token": DEFAULT_TOKEN,
            "stripe_api_base": stripe_url,
            "stripe_api_key": "sk_test_sandbox",
            "stripe_webhook_secrets": ("whsec_sandbox",),
            **more,
        }
        headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
        async with (
            dashboard(url, redis_url, folder, **settings) as transport,
            visitor(transport) as ada,
            httpx.AsyncClient(base_url=f"{ninja_url}/api/v1", headers=headers) as ninja,
        ):
            await ada.sign_in("ada")
            yield World(
                pool, ada, ninja, account, team, faults, folder, dashboard_settings(url, redis_url, folder, **settings)
            )
