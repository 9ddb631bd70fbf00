"""The balance of hours with PostgreSQL: what the store remembers, the nightly job, the overview and the alert."""

from dataclasses import replace
from decimal import Decimal

import asyncpg

from handlers.invoices.watch import look_at_items_of
from handlers.ports.invoice_world import client_subject
from middleware.alerts.conditions import balances
from middleware.jobs.balance import balance_jobs, balance_run
from middleware.jobs.mirror import keep_books
from middleware.lab.sandbox.invoiceninja import ledger
from middleware.lab.sandbox.invoiceninja.invoice_actions import cancel
from middleware.store.billing.balances import BalanceStore
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.billing.mirror import BookStore
from middleware.store.billing.plans import PlanStore
from middleware.store.database import open_pool
from middleware.store.operations.circuits import CircuitStore
from middleware.traffic.traffic import Traffic
from tests.support.invoicing.life_bench import Desk, desk


async def _keep(at: Desk, pool: asyncpg.Pool) -> None:
    """Put the links and reviews of the desk into the store."""
    for link in at.office.links.rows.values():
        await LinkStore(pool).save(link)
    for (subject, kind), (summary, details) in at.office.reviews.opened.items():
        await ReviewStore(pool).open(subject, kind, summary, details)


async def test_the_store_remembers_what_the_balance_needs(fresh_database: str) -> None:
    """Entries, removed ones, hours on invoices, decisions, open and settled credits: as the desk itself knows them."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        for hours in ("4", "6", "2"):
            await at.open_item(hours)
        await at.tell(at.stories[3], billable=False)
        await at.office.bill()
        await at.tell(at.stories[0], hours="3")
        await at.tell(at.stories[1], hours="1")
        at.office.reviews.settle("taiga:task:8", "credit_proposal")
        cancel(at.office.state, at.invoice())
        await _keep(at, pool)
        settled = {"billed_hours": "4", "hours": "1"}
        await ReviewStore(pool).open("taiga:task:8", "credit_proposal", "credit 3 h?", settled)
        await ReviewStore(pool).close("taiga:task:8", "credit_proposal", "ada: credited")
        kept, known = await PlanStore(pool).hour_memory(), await at.office.plans.hour_memory()
        assert sorted(kept.works, key=lambda one: one.subject) == sorted(known.works, key=lambda one: one.subject)
        assert sorted(kept.entries, key=lambda one: one.number) == sorted(known.entries, key=lambda one: one.number)
        assert (kept.invoiced, kept.left, kept.lost_subjects) == (known.invoiced, known.left, known.lost_subjects)


async def test_each_night(fresh_database: str) -> None:
    """What adds up is said in a sentence; what does not is kept, alerts, and names the work."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        context, store = at.office.context, BalanceStore(pool)
        assert await balance_run(context, store) == "5 h of 1 client add up"
        (kept,) = await store.all()
        assert (kept.kind, kept.difference, balances([kept]).conditions) == ("hours", Decimal(0), ())
        (entry,) = [link for link in at.office.links.rows.values() if link.kind == "time_entry"]
        at.office.links.rows.pop((entry.subject, entry.kind, entry.number))
        told = await balance_run(context, store)
        assert told == "5 h of 1 task do not add up: see `taiga-billing balance hours`"
        (kept,) = await store.all()
        assert [one["subject"] for one in kept.content["mismatches"]] == ["taiga:task:7"]
        (condition,) = balances([kept]).conditions
        assert (condition.key, condition.summary) == ("hours", f"hours: {told}")


async def test_invoice_ninja_is_away(fresh_database: str) -> None:
    """The balance of the night before stays; nothing is asked of anybody."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        at.office.faults.add(status=503, times=None)
        told = await balance_run(at.office.context, BalanceStore(pool))
        assert told.startswith("not made: ")
        assert await BalanceStore(pool).all() == []


async def test_nothing_is_balanced_where_nothing_is_invoiced(fresh_database: str) -> None:
    """Without Invoice Ninja there is no such job."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        without = replace(at.office.context, invoicing=None)
        assert balance_jobs(lambda: without, pool, Traffic(CircuitStore(pool), {}, {})) == []
        (job,) = balance_jobs(lambda: at.office.context, pool, Traffic(CircuitStore(pool), {}, {}))
        assert job.name == "balance of hours"
        assert await balance_run(without, BalanceStore(pool)) == "Invoice Ninja is not configured"


async def test_a_number_that_came_with_the_mail(fresh_database: str) -> None:
    """Plans and links that knew an invoice without number learn it."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        at.office.state.company["settings"]["counter_number_applied"] = "when_sent"
        made = await at.office.plan()
        await PlanStore(pool).save(made)
        await at.office.bill()
        (invoice,) = await at.office.invoices()
        await PlanStore(pool).made(made.id, made.invoices[0], invoice, "")
        await _keep(at, pool)
        await PlanStore(pool).numbered(invoice.id, "0042")
        (planned,) = await PlanStore(pool).planned(made.id)
        assert planned.invoice_number == "0042"
        links = [*await LinkStore(pool).of_subject("taiga:task:7")]
        links += await LinkStore(pool).of_subject(client_subject(at.client_id))
        numbers = {link.state["invoice_number"] for link in links if link.kind in {"invoice", "invoiced"}}
        assert numbers == {"0042"}


async def test_an_invoice_that_was_cancelled_is_noticed(fresh_database: str) -> None:
    """The next read of the invoices lets its items be looked at: the question is asked long before the night."""
    async with desk() as at, open_pool(fresh_database, size=2) as pool:
        store = BookStore(pool)

        async def read() -> None:
            now = at.office.clock()
            await keep_books(at.office.ninja, store, now, lambda changed: look_at_items_of(changed, at.office.context))

        await at.office.bill()
        at.office.events.waiting.clear()
        await read()
        assert not at.office.events.waiting
        ledger.mark_sent(at.office.state, at.invoice())
        cancel(at.office.state, at.invoice())
        await read()
        (event,) = at.office.events.waiting.values()
        assert event.subject == "taiga:task:7"
        assert event.occurred_at < at.stories[0].events[0].occurred_at
        await read()
        assert len(at.office.events.keys) == len({*at.office.events.keys})
        assert await look_at_items_of([], replace(at.office.context, taiga=None)) == 0
