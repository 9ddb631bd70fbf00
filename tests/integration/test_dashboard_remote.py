"""What pages ask Taiga, Invoice Ninja and Stripe: the effect of a replay, and the payment page of an invoice."""

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
import pytest

from middleware.accounts.passwords import hash_password
from middleware.dashboard import remote
from middleware.sandbox.faults import Faults, Rule
from middleware.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState
from middleware.sandbox.invoiceninja import create_app as create_ninja
from middleware.sandbox.serve import serve
from middleware.sandbox.stripe import StripeState
from middleware.sandbox.stripe import create_app as create_stripe
from middleware.sandbox.taiga import create_app as create_taiga
from middleware.sandbox.taiga.people import BRIDGE, PASSWORD, Team
from middleware.sources import SOURCES, Delivery
from middleware.store.database import open_pool
from middleware.store.events import EventStore
from middleware.store.users import UserStore
from tests.dashboard_seed import PASSWORD as ADAS
from tests.dashboard_visitor import Visitor, dashboard, visitor


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
        await EventStore(self.pool).store(events)
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
            yield World(pool, ada, ninja, account, team, faults, folder)


@pytest.fixture
async def world(fresh_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """All systems at hand."""
    async with running_world(fresh_database, redis_url, tmp_path) as running:
        yield running


class TestReplay:
    """The look at a replay says what it would do, as `events replay --dry-run` does."""

    async def test_tells_the_effect_and_writes_nothing(self, world: World) -> None:
        """The entry that would be created is told with its steps; neither Invoice Ninja nor the store has changed."""
        last = await world.closed_task()
        plain = await world.ada.get(f"/events/replay?event={last}")
        assert "See what it would do" in plain
        assert "would create" not in plain
        page = await world.ada.get(f"/events/replay?event={last}&effect=yes")
        assert "would create" in page
        assert "create time entry TAIGA-T" in page
        assert world.ninja_faults.count("POST|PUT|PATCH|DELETE") == 1, "only the client of this test"
        assert await world.pool.fetchval("SELECT count(*) FROM attempts") == 0

    async def test_slow_systems_do_not_hold_the_page(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """After its time the page comes with what was seen, and says that something is missing."""
        last = await world.closed_task()
        world.ninja_faults.add(Rule(action="hang", times=None))
        monkeypatch.setattr(remote, "REHEARSAL_SECONDS", 0.3)
        page = await world.ada.get(f"/events/replay?event={last}&effect=yes")
        assert "What a replay would do cannot be said: the other systems are slow" in page
        assert "Replay it" in page

    async def test_says_why_nothing_can_be_seen(self, world: World) -> None:
        """A broken mapping file is named; the event may be replayed all the same."""
        last = await world.closed_task()
        await asyncio.to_thread((world.folder / "mappings.json").write_text, "{", "utf-8")
        page = await world.ada.get(f"/events/replay?event={last}&effect=yes")
        assert "What a replay would do cannot be said: the mapping file cannot be used" in page
        assert "Replay it" in page


class TestPaymentPage:
    """The button on the page of an invoice does what `invoices link` does."""

    async def test_is_made_shown_and_written_down(self, world: World) -> None:
        """Made once, found again, shown with its address, and in the audit with its author."""
        invoice_id = await world.invoice()
        answer = await world.ada.send(f"/invoices/{invoice_id}/link")
        assert answer.headers["location"] == f"/invoices/{invoice_id}?said=linked-1"
        (link,) = world.stripe.tables["payment_link"]
        page = await world.ada.get(f"/invoices/{invoice_id}?said=linked-1")
        assert f'value="{link["url"]}"' in page
        assert "payment page is ready" in page
        await world.ada.send(f"/invoices/{invoice_id}/link")
        assert len(world.stripe.tables["payment_link"]) == 1
        audit = await world.ada.get("/audit?action=invoice.linked")
        assert "payment page of invoice 2026-7 made: 100" in audit
        assert "payment page of invoice 2026-7 found: 100" in audit

    async def test_is_refused_in_the_words_of_the_command(self, world: World) -> None:
        """Nothing is open, no such invoice, and a failing Invoice Ninja: each says what happened and what to do."""
        invoice_id = await world.invoice(amount=0)
        answer = await world.ada.send(f"/invoices/{invoice_id}/link")
        assert answer.status_code == 409
        assert "No payment link: " in answer.text
        assert "a payment link is for an invoice that is open" in answer.text
        answer = await world.ada.send("/invoices/nothing/link")
        assert "There is no invoice &#39;nothing&#39; in Invoice Ninja" in answer.text
        world.ninja_faults.add(Rule(status=503, times=None))
        answer = await world.ada.send(f"/invoices/{invoice_id}/link")
        assert answer.status_code == 409
        assert "Nothing is lost: ask again" in answer.text
        assert await world.pool.fetchval("SELECT count(*) FROM audit WHERE action = 'invoice.linked'") == 0

    async def test_takes_only_so_long(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who waits for a hanging system is told so."""
        invoice_id = await world.invoice()
        world.ninja_faults.add(Rule(action="hang", times=None))
        monkeypatch.setattr(remote, "LINK_SECONDS", 0.3)
        answer = await world.ada.send(f"/invoices/{invoice_id}/link")
        assert answer.status_code == 409
        assert "took longer than" in answer.text

    async def test_needs_a_key_of_stripe(self, fresh_database: str, redis_url: str, tmp_path: Path) -> None:
        """Without one the setting is named."""
        async with running_world(fresh_database, redis_url, tmp_path, stripe_api_key="") as world:
            answer = await world.ada.send(f"/invoices/{await world.invoice()}/link")
        assert answer.status_code == 409
        assert "no STRIPE_API_KEY is set" in answer.text

    async def test_is_not_for_viewers(self, world: World) -> None:
        """A viewer is refused, and nothing is made."""
        invoice_id = await world.invoice()
        await UserStore(world.pool).add("vic", "viewer", hash_password(ADAS))
        await world.ada.sign_in("vic")
        assert (await world.ada.send(f"/invoices/{invoice_id}/link")).status_code == 403
        assert not world.stripe.tables["payment_link"]
