"""What pages ask Taiga, Invoice Ninja and Stripe: the effect of a replay, and the payment page of an invoice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from middleware.accounts.passwords import hash_password
from middleware.dashboard import live_systems as remote
from middleware.dashboard.mount import CONNECTIONS
from middleware.lab.sandbox.faults import Rule
from middleware.store.operations.circuits import CLOSED, Circuit, CircuitStore
from middleware.store.operations.users import UserStore
from tests.support.dashboard.seed import PASSWORD as ADAS
from tests.support.dashboard.world import World, running_world
from tests.support.pipeline import until


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
        monkeypatch.setattr(remote, "DRY_RUN_SECONDS", 0.3)
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
        assert "Nothing is lost: try again" in answer.text
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


class TestByHand:
    """What a person starts here goes the way of what a person starts at the command line."""

    async def leave_alone(self, world: World) -> Circuit:
        """Everybody failed at Invoice Ninja, and nobody may try for an hour; returns how it is remembered."""
        now = datetime.now(UTC)
        circuit = Circuit(5, "x", open_since=now, probe_at=now + timedelta(hours=1), probes=3, message="502")
        await CircuitStore(world.pool).change("invoiceninja", lambda _one: circuit)
        return (await CircuitStore(world.pool).all())["invoiceninja"]

    async def test_is_not_held_back_and_an_answer_opens_the_way(self, world: World) -> None:
        """A system that is left alone is asked all the same; a failure changes nothing, its answer lets all go on."""
        last, circuits = await world.closed_task(), CircuitStore(world.pool)
        before = await self.leave_alone(world)
        world.ninja_faults.add(Rule(status=503, times=None))
        assert "would be tried again" in await world.ada.get(f"/events/replay?event={last}&effect=yes")
        assert (await circuits.all())["invoiceninja"] == before
        world.ninja_faults.clear()
        assert "would create" in await world.ada.get(f"/events/replay?event={last}&effect=yes")
        assert (await circuits.all())["invoiceninja"] == CLOSED

    async def test_a_payment_page_opens_the_way_too(self, world: World) -> None:
        """The button asks as the command does."""
        await self.leave_alone(world)
        invoice_id = await world.invoice()
        await world.ada.send(f"/invoices/{invoice_id}/link")
        assert (await CircuitStore(world.pool).all())["invoiceninja"] == CLOSED

    async def test_pages_that_wait_leave_connections_to_others(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """While they wait for a system that hangs, other pages still find a connection to the store."""
        last = await world.closed_task()
        world.ninja_faults.add(Rule(action="hang", times=None))
        monkeypatch.setattr(remote, "DRY_RUN_SECONDS", 600)
        path = f"/events/replay?event={last}&effect=yes"
        asking = [asyncio.create_task(world.ada.get(path)) for _ in range(CONNECTIONS + 1)]

        async def is_hanging() -> bool:
            return len(world.ninja_faults.hanging) == len(asking)

        await until(is_hanging)
        await world.ada.get("/events")
        for page in asking:
            page.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
