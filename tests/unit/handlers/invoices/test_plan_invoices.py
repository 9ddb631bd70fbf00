"""Runs: what is applied at once, what waits for a person, and when runs begin."""

import json
from datetime import UTC, datetime, timedelta

from handlers.invoices.events import run_event
from mappings.config.file import parse_mapping
from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import latest_run
from tests.support.invoicing.invoicing_bench import ZONE, Office, as_event, office


async def _run(bureau: Office, calendar: int = 0) -> str:
    found = calendars_of(bureau.mapping)[calendar]
    run = latest_run(found, bureau.clock())
    return await bureau.settle(as_event(run_event(found.name, run.period, run.due_at), 1))


async def test_a_review_waits_for_a_person() -> None:
    """By default a run ends with a stored plan and a review that names it; nothing is made."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, approval="review")
        await bureau.work(acme, "2")
        told = await _run(bureau)
        ((plan_id, _plan),) = bureau.plans.plans.items()
        assert told == f"plan {plan_id} for 2025-12: 1 invoice, 2 h; waiting for a review: 1 client"
        ((summary, details),) = bureau.reviews.opened.values()
        assert (f"--plan {plan_id}" in summary, details["clients"]) == (True, [acme])
        assert not bureau.events.waiting


async def test_automatic_clients_are_fanned_out() -> None:
    """Each client with automatic approval gets an event of its own, the others wait; once, in however many tries."""
    async with office() as bureau:
        acme, beta = await bureau.client("Acme"), await bureau.client("Beta")
        clients = {acme: {"approval": "automatic"}, beta: {}}
        bureau.mapping = parse_mapping(json.dumps({"client_rules": clients, "billing_rules": {"timezone": ZONE}}))
        await bureau.work(acme, "2")
        await bureau.work(beta, "2")
        await _run(bureau)
        told = await _run(bureau)
        assert "billed now: 1 client; waiting for a review: 1 client" in told
        assert [event.subject for event in bureau.events.waiting.values()] == [f"invoice:{acme}"]


async def test_nothing_to_bill() -> None:
    """A run without unbilled work says so, and closes what an earlier one left open."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, approval="review")
        task = await bureau.work(acme, "2")
        await _run(bureau)
        await bureau.ninja.delete_task(task.id)
        assert await _run(bureau) == "nothing to bill for 2025-12 (0 left out)"
        assert not bureau.reviews.opened


async def test_each_client_has_its_calendar() -> None:
    """A weekly client is billed by the weekly runs, everybody else by the general ones."""
    async with office(datetime(2026, 1, 5, 6, tzinfo=UTC)) as bureau:
        weekly, monthly = await bureau.client("Weekly"), await bureau.client("Monthly")
        rules = {weekly: {"frequency": "weekly", "approval": "automatic"}, monthly: {"approval": "automatic"}}
        bureau.mapping = parse_mapping(json.dumps({"client_rules": rules, "billing_rules": {"timezone": ZONE}}))
        await bureau.work(weekly, "2", "2026-01-03 12:00")
        await bureau.work(monthly, "2", "2025-12-03 12:00")
        names = [calendar.name.split("-")[0] for calendar in calendars_of(bureau.mapping)]
        assert names == ["monthly", "weekly"]
        await _run(bureau, 0)
        assert [event.subject for event in bureau.events.waiting.values()] == [f"invoice:{monthly}"]
        bureau.events.waiting.clear()
        await _run(bureau, 1)
        assert [event.subject for event in bureau.events.waiting.values()] == [f"invoice:{weekly}"]


async def test_mails_go_together_and_once() -> None:
    """All invoices that wait are mailed with one request; one that is sent, changed or gone is not."""
    async with office() as bureau:
        clients = [await bureau.client(f"C{number}") for number in range(4)]
        bureau.rules(*clients, auto_send=True)
        for client in clients:
            await bureau.work(client, "1")
        await bureau.bill()
        waiting = [event for event in bureau.events.waiting.values() if event.type == "invoice.send"]
        invoices = await bureau.invoices()
        await bureau.ninja.delete_invoice(invoices[0].id)
        await bureau.ninja.update_invoice(invoices[1].id, {"discount": 10})
        told = await bureau.settle_together([as_event(event, number) for number, event in enumerate(waiting)])
        assert sorted(told.split("; ")) == [
            "invoice 0001 was deleted",
            "invoice 0002 was changed to 72: send it in Invoice Ninja",
            "invoice 0003 sent",
            "invoice 0004 sent",
        ]
        bureau.clock.wait(2)
        again = await bureau.settle_together([as_event(waiting[-1], 9)])
        assert again == "invoice 0004 is sent already"
        assert len(bureau.state.mails) == 2
        assert bureau.faults.count("POST", "/invoices/bulk") == 1


async def test_periods_that_wait_together() -> None:
    """Two months that are due for a client at once are billed one after the other, in order."""
    async with office(datetime(2026, 1, 1, 6, tzinfo=UTC)) as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.work(acme, "1", "2025-11-10 12:00")
        await bureau.work(acme, "2", "2025-12-10 12:00")
        december = await bureau.plan()
        november = await bureau.plan(bureau.month("2025-11"))
        told = await bureau.settle_together([bureau.due(december, acme), bureau.due(november, acme)])
        assert told == "invoice 0001: 80.00 USD for 1 h; invoice 0002: 160.00 USD for 2 h"
        assert bureau.clock() - datetime(2026, 1, 1, 6, tzinfo=UTC) < timedelta(seconds=1)


async def test_a_period_that_has_not_ended() -> None:
    """A run that a wrong clock began early waits for a person and plans nothing, until the period is over."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, approval="automatic", auto_send=True)
        await bureau.work(acme, "2")
        found = calendars_of(bureau.mapping)[0]
        early = latest_run(found, bureau.clock() + timedelta(days=66))
        event = as_event(run_event(found.name, early.period, early.due_at), 1)
        assert "has not ended: nothing was planned" in await bureau.settle(event)
        assert not bureau.plans.plans
        assert not bureau.events.waiting
