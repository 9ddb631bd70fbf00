"""The pages of invoices and plans: what they know of Invoice Ninja's books, and plans as the command sees them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mappings.invoices.models import InvoicePlan
from mappings.invoices.period import Period, parse_period
from middleware.clients.connect import connect_invoice_ninja
from middleware.invoicing.runs import Runs, open_runs
from middleware.jobs.mirror import keep_books
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from middleware.store.billing.mirror import READING, BookStore
from middleware.store.operations.timetable import Timetable
from tests.support.dashboard.world import World, running_world

MADE, DELETED = '<span class="chip ok">made', '<span class="chip waiting">deleted'
PERIOD = parse_period("2025-12", "UTC")


@pytest.fixture
async def world(fresh_database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    """All systems at hand."""
    async with running_world(fresh_database, redis_url, tmp_path) as running:
        yield running


class Desk:
    """Somebody who makes invoices at the command line and looks at their pages."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.client = ""

    async def open(self) -> None:
        """There is one client, with an hour of work."""
        self.client = (await self.world.ninja.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
        mapping = f'{{"client_rules": {{"{self.client}": {{}}}}}}'
        self.world.settings.mappings_file.write_text(mapping, encoding="utf-8")
        await self.work("2025-12-10")

    async def work(self, day: str) -> None:
        """An hour of work on a day."""
        start = int(datetime.fromisoformat(f"{day}T08:00:00+00:00").timestamp())
        task = {"client_id": self.client, "rate": 80, "time_log": f"[[{start},{start + 3600}]]", "description": day}
        answer = await self.world.ninja.post("/tasks", json=task)
        assert answer.is_success, answer.text

    @asynccontextmanager
    async def runs(self) -> AsyncIterator[Runs]:
        """What `taiga-billing invoices` works with."""
        async with open_runs(self.world.settings, self.world.pool) as opened:
            yield opened

    async def make(self, plan: InvoicePlan | None = None, period: Period = PERIOD) -> InvoicePlan:
        """`invoices generate`, of a fresh plan unless one is given."""
        async with self.runs() as runs:
            made = plan or await runs.fresh(period)
            await runs.keep(made)
            names = {invoice.client_id: invoice.client_name for invoice in made.invoices}
            events = await runs.apply(made, names, is_strict=True, send=None)
            followed = await runs.follower.follow(events, names, 60, lambda _state: None)
        assert all(one.is_done for one in followed.clients), followed
        return made

    async def offered(self, plan: InvoicePlan) -> int:
        """How many invoices of the plan the command offers to make."""
        async with self.runs() as runs:
            return len((await runs.standing(plan)).rest.invoices)

    async def delete_newest(self) -> None:
        """Somebody deletes an invoice in Invoice Ninja."""
        newest = "SELECT invoice_id FROM planned_invoices ORDER BY made_at DESC LIMIT 1"
        answer = await self.world.ninja.delete(f"/invoices/{await self.world.pool.fetchval(newest)}")
        assert answer.is_success, answer.text

    async def read_books(self) -> None:
        """A worker reads the books."""
        books = connect_invoice_ninja(self.world.settings.invoice_ninja_api, DEFAULT_TOKEN)
        try:
            await keep_books(books, BookStore(self.world.pool), datetime.now(UTC))
        finally:
            await books.aclose()

    async def page(self, plan: InvoicePlan) -> str:
        """The page of the plan; nothing is asked for it."""
        asked = self.world.ninja_faults.count()
        page = await self.world.ada.get(f"/invoices/plans/{plan.id}")
        assert self.world.ninja_faults.count() == asked
        return page


@pytest.fixture
async def desk(world: World) -> Desk:
    """A client with an hour of work, in front of the pages and the command line."""
    made = Desk(world)
    await made.open()
    return made


class TestPlan:
    """The page of a plan offers what the command offers, as far as the books are known."""

    async def test_a_deleted_invoice_is_offered_again(self, desk: Desk) -> None:
        """Both offer it; approved on the page it is made once more, and then both are done."""
        plan = await desk.make()
        await desk.read_books()
        assert MADE in await desk.page(plan)
        assert "Approve and make" not in await desk.page(plan)
        assert await desk.offered(plan) == 0
        assert "all made" in await desk.world.ada.get("/invoices")
        await desk.delete_newest()
        await desk.read_books()
        page = await desk.page(plan)
        assert await desk.offered(plan) == 1
        assert DELETED in page
        assert "Approve and make 1 invoice" in page
        assert "Last read" in page
        assert "all made" not in await desk.world.ada.get("/invoices")
        answer = await desk.world.ada.send(f"/invoices/plans/{plan.id}/apply")
        assert answer.headers["location"].endswith("?said=applied-1")
        assert "data-live" in await desk.page(plan)
        await desk.make(plan)
        await desk.read_books()
        assert await desk.offered(plan) == 0
        assert MADE in await desk.page(plan)
        assert (await desk.world.ada.send(f"/invoices/plans/{plan.id}/apply")).status_code == 409

    async def test_work_that_is_billed_otherwise_is_not_offered(self, desk: Desk) -> None:
        """After the deletion another plan bills it with more: both say that nothing is left of the first one."""
        first = await desk.make()
        await desk.delete_newest()
        await desk.work("2025-12-11")
        second = await desk.make()
        assert second.id != first.id
        await desk.read_books()
        assert await desk.offered(first) == 0
        page = await desk.page(first)
        assert "its work is billed by another invoice" in page
        assert "Approve and make" not in page
        await desk.delete_newest()
        await desk.read_books()
        assert await desk.offered(second) == 1
        assert DELETED in await desk.page(second)

    async def test_says_what_it_cannot_know(self, desk: Desk) -> None:
        """Before the books are read the page goes by our own note, and says so with the command that knows."""
        plan = await desk.make()
        await desk.delete_newest()
        page = await desk.page(plan)
        assert MADE in page
        assert "Not read yet" in page
        assert f"taiga-billing invoices generate --plan {plan.id} --dry-run" in page

    async def test_an_order_that_found_other_work_is_told(self, desk: Desk) -> None:
        """Deleted, and the work has changed, which no book tells: the worker makes nothing, and its word is shown."""
        plan = await desk.make()
        await desk.delete_newest()
        await desk.work("2025-12-12")
        await desk.read_books()
        assert await desk.offered(plan) == 0
        assert "if its work is as it stands here" in await desk.page(plan)
        await desk.make(plan)
        assert "nothing is unbilled" in await desk.page(plan)


class TestBooks:
    """The list of invoices says as of when it is, and never that there are none before they were read."""

    async def said(self, world: World, *words: str) -> None:
        """These words stand on the page, whatever is asked of it, and nothing claims to know."""
        for path in ("/invoices", "/invoices?state=open"):
            page = await world.ada.get(path)
            for word in ("Not read yet", *words):
                assert word in page, (path, word)
            for claim in ("Nothing is owed", "There is no invoice", "No invoice is open"):
                assert claim not in page, (path, claim)

    async def test_not_read_yet(self, world: World) -> None:
        """No worker yet, one that has just started, one that is reading, and one that failed are told apart."""
        ticks, now = Timetable(world.pool), datetime.now(UTC)
        await self.said(world, "a worker reads it within a minute of its first start")
        await ticks.take(READING, now, now, now)
        await self.said(world, "a worker reads it within a minute.")
        await ticks.take(READING, now, now + timedelta(minutes=10))
        await self.said(world, "a worker began", "the next one begins")
        await ticks.put_off(READING, "not read: invoiceninja: no connection", now + timedelta(minutes=1))
        await self.said(world, "the last attempt was", "(not read: invoiceninja: no connection)", "the next one is due")

    async def test_read_in_part(self, world: World) -> None:
        """What a read that was cut off has left is shown, with a warning."""
        await world.invoice()
        await Desk(world).read_books()
        await world.pool.execute("DELETE FROM book_reads")
        page = await world.ada.get("/invoices")
        assert "2026-7" in page
        assert "there may be more" in page

    async def test_read(self, world: World) -> None:
        """Books without an invoice, and when they were read."""
        await Desk(world).read_books()
        page = await world.ada.get("/invoices")
        for words in ("Last read", "Nothing is owed.", "There is no invoice in Invoice Ninja."):
            assert words in page, words
        assert "Not read yet" not in page
        assert "No invoice is open." in await world.ada.get("/invoices?state=open")
