"""Plans, links and calendars in PostgreSQL; ticks of several workers."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg

from handlers.ports.context import Link
from handlers.ports.invoice_world import Invoiced
from mappings.config.file import parse_mapping
from middleware.intake.ingest import Ingest
from middleware.jobs.invoice_runs import DueRuns
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.billing.plans import PlanStore
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.invoicing.invoicing_bench import office
from tests.support.pipeline import new_event

NOW = datetime(2026, 1, 1, 6, tzinfo=UTC)
WEEKLY = {"frequency": "weekly", "timezone": "Europe/Brussels"}


async def test_a_plan_comes_back_as_it_was(fresh_database: str) -> None:
    """Lines, sums and reasons survive the store, strange characters included; what was made stays noted."""
    async with office() as bureau, open_pool(fresh_database, size=2) as pool:
        acme = await bureau.client("A\ud83d\ude00 \u0001 & Co")
        bureau.rules(acme, taxes=[{"name": "VAT", "rate": 21}], discount={"kind": "percent", "value": 5})
        await bureau.work(acme, "1.5", description='line "one"\nline two')
        await bureau.work(acme, "1", rate="0")
        store, made = PlanStore(pool), await bureau.plan()
        await store.save(made)
        await store.save(made)
        kept = await store.find(made.id)
        assert kept == made
        await bureau.bill()
        (invoice,) = await bureau.invoices()
        await store.made(made.id, made.invoices[0], invoice, "note")
        (planned,) = await store.planned(made.id, acme)
        assert (planned.invoice, planned.invoice_id) == (made.invoices[0], invoice.id)
        assert await store.planned(made.id, "other") == []
        assert await store.find("p-unknown") is None


async def test_what_the_store_knows_of_tasks(fresh_database: str) -> None:
    """Links of time entries are found by task; links to invoices are written for many tasks at once."""
    async with office() as bureau, open_pool(fresh_database, size=2) as pool:
        acme = await bureau.client()
        task = await bureau.synced(acme, "2", 7)
        links, plans = LinkStore(pool), PlanStore(pool)
        for link in bureau.links.rows.values():
            await links.save(link)
        found = await plans.time_links([task.id, "other"])
        assert found == await bureau.plans.time_links([task.id])
        told = Invoiced("taiga:task:7", task.number, "INV", {"hours": "2"})
        await plans.remember_invoiced([told, told])
        await plans.remember_invoiced([replace(told, invoice_id="INV2")])
        kept = [link for link in await links.of_subject("taiga:task:7") if link.kind == "invoiced"]
        assert kept == [Link("taiga:task:7", "invoiced", task.number, "INV2", {"hours": "2"})]


async def test_unresolved_events(fresh_database: str) -> None:
    """Events that wait or are dead count, until a newer one of their item is done; their project and item are told."""
    async with open_pool(fresh_database, size=2) as pool:
        body = json.dumps({"data": {"project": {"id": 5}, "ref": 3, "subject": "Login"}}).encode()
        events = [
            new_event("taiga:task:1", 1, body=body),
            new_event("taiga:task:2", 1, body=b"no json"),
            new_event("taiga:task:2", 2, body=body),
            new_event("taiga:task:3", 1, body=body),
            new_event("stripe:pi:1", 1, source="stripe"),
        ]
        await EventStore(pool).insert(events)
        await pool.execute(
            "UPDATE events SET status = 'dead', reason = 'bad' WHERE subject = 'taiga:task:3' OR body = $1", b"no json"
        )
        await pool.execute("UPDATE events SET status = 'processed' WHERE subject = 'taiga:task:2' AND status <> 'dead'")
        assert [one.subject for one in await PlanStore(pool).unresolved(["taiga:task:3", "other"])] == ["taiga:task:3"]
        found = await PlanStore(pool).unresolved()
        assert {(one.subject, one.status, one.name, one.taiga_project_id) for one in found} == {
            ("taiga:task:1", "received", "#3: Login", 5),
            ("taiga:task:3", "dead", "#3: Login", 5),
        }


async def test_credits_and_reviews(fresh_database: str) -> None:
    """Open credit proposals come with their client; applying a plan closes its review only."""
    async with open_pool(fresh_database, size=2) as pool:
        reviews, links, plans = ReviewStore(pool), LinkStore(pool), PlanStore(pool)
        await links.save(Link("taiga:task:7", "time_entry", "TAIGA-T7", "t", {"sent": {"client_id": "acme"}}))
        await reviews.open("taiga:task:7", "credit_proposal", "credit 1 h?", {})
        await reviews.open("invoices:run:a", "invoice_plan", "look", {"plan_id": "p-1"})
        await reviews.open("invoices:run:b", "invoice_plan", "look", {"plan_id": "p-2"})
        (credit,) = await plans.credit_proposals()
        assert (credit.client_id, credit.summary) == ("acme", "credit 1 h?")
        await plans.close_plan_reviews("p-1", "applied")
        assert [row.subject for row in await reviews.list_open("invoice_plan")] == ["invoices:run:b"]


async def _keys(pool: asyncpg.Pool) -> list[str]:
    return [row["key"] for row in await pool.fetch("SELECT key FROM events ORDER BY id")]


async def test_runs_begin_once(fresh_database: str) -> None:
    """A new calendar has missed nothing; then each run begins once, with several workers, restarts and missed weeks."""
    mapping = parse_mapping(json.dumps({"billing_rules": WEEKLY}))
    async with open_pool(fresh_database, size=2) as pool:

        def worker() -> Callable[[datetime], Awaitable[int]]:
            return partial(DueRuns(PlanStore(pool), Ingest(EventStore(pool), lambda _ids: None)).begin, mapping)

        first, second = worker(), worker()
        assert await first(NOW) == 0
        assert await worker()(NOW + timedelta(days=1)) == 0
        monday = datetime(2026, 1, 5, 5, tzinfo=UTC)
        assert await first(monday - timedelta(seconds=1)) == 0
        for at in (monday, monday + timedelta(minutes=1)):
            await first(at)
            await second(at)
        assert await _keys(pool) == ["run:weekly-1-06h-Europe/Brussels:2026-W01"]
        await worker()(monday + timedelta(days=23))
        await worker()(monday + timedelta(days=24))
        assert (await _keys(pool))[1:] == ["run:weekly-1-06h-Europe/Brussels:2026-W04"]
