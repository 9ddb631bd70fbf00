"""What is sent for an invoice, by the rules; what follows from it."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import NeedsPerson, RetryLater
from handlers.event import Work
from handlers.invoices.events import TASK_INVOICED
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from mappings.invoices.models import Unresolved
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import DECEMBER, ZONE, Office, as_event, office
from tests.support.webhook_story import Story


async def _sent(bureau: Office) -> dict[str, Any]:
    """The invoice as Invoice Ninja stored it."""
    (row,) = bureau.state.tables["invoices"]
    return dict(row.data)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, {"date": "2026-01-01", "due_date": "2026-01-31", "auto_bill_enabled": False, "number": "0001"}),
        (
            {"payment_terms": "due_on_receipt", "invoice_date": "period_end"},
            {"date": "2025-12-31", "due_date": "2025-12-31"},
        ),
        ({"payment_terms": "eom"}, {"due_date": "2026-01-31"}),
        ({"auto_bill": True, "notes": "Thank you"}, {"auto_bill_enabled": True, "public_notes": "Thank you"}),
        ({"discount": {"kind": "percent", "value": 10}}, {"discount": 10, "is_amount_discount": False, "amount": 108}),
        ({"discount": {"kind": "amount", "value": 20}}, {"discount": 20, "is_amount_discount": True, "amount": 100}),
        ({"discount": {"kind": "amount", "value": 119}, "taxes": [{"name": "VAT", "rate": 21}]}, {"amount": 1.21}),
        ({"taxes": [{"name": "VAT", "rate": 21}], "inclusive_taxes": True}, {"amount": 120, "total_taxes": 20.83}),
        ({"invoice_mark_field": "custom_value2"}, {"custom_value4": ""}),
    ],
)
async def test_rules_become_fields(rules: dict[str, Any], expected: dict[str, Any]) -> None:
    """Dates, terms, discounts, taxes and notes stand on the invoice as configured, and the sum is ours."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, **rules)
        await bureau.work(acme, "1.5")
        (told,) = await bureau.bill()
        sent = await _sent(bureau)
        assert {name: sent[name] for name in expected} == expected
        assert "adds up" not in told
        assert sent[rules.get("invoice_mark_field", "custom_value4")].startswith("TB-2025-12-")


async def test_lines() -> None:
    """A line bills a task, names what, when and who, and touches no product."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        task = await bureau.synced(acme, "1.3333", 7, rate="75.50")
        await bureau.bill()
        (line,) = (await _sent(bureau))["line_items"]
        told = {name: line[name] for name in ("type_id", "task_id", "quantity", "cost", "product_key", "notes")}
        assert told == {
            "type_id": "2",
            "task_id": task.id,
            "quantity": 1.333,
            "cost": 75.5,
            "product_key": "",
            "notes": "Task #7: Some work\n2025-12-10, ann",
        }


async def test_an_invoice_for_each_project() -> None:
    """With invoice_per project each project has its invoice, linked to it, by its own rules."""
    async with office() as bureau:
        acme = await bureau.client()
        site = await bureau.project(acme, "Site")
        projects = [
            {"taiga_project_id": 1, "invoiceninja_client_id": acme, "invoiceninja_project_id": site, "notes": "Site"},
            {
                "taiga_project_id": 2,
                "invoiceninja_client_id": acme,
                "taiga_project_name": "Care",
                "payment_terms": "eom",
            },
        ]
        rules = {"timezone": ZONE, "approval": "automatic", "invoice_per": "project"}
        bureau.mapping = parse_mapping(json.dumps({"project_mappings": projects, "billing_rules": rules}))
        await bureau.work(acme, "1", project_id=site)
        await bureau.synced(acme, "2", 7, project=2)
        await bureau.bill()
        rows = [row.data for row in bureau.state.tables["invoices"]]
        found = {(row["project_id"], row["public_notes"], row["due_date"], row["amount"]) for row in rows}
        assert found == {(site, "Site", "2026-01-31", 80), ("", "", "2026-01-31", 160)}
        await bureau.check_books()


async def test_corrections_after_billing() -> None:
    """More hours become a line of the next invoice; fewer wait for a person and are told in the next plan."""
    async with office() as bureau:
        bureau.taiga = FakeTaiga()
        acme = await bureau.client()
        projects = [{"taiga_project_id": 1, "invoiceninja_client_id": acme, "default_hourly_rate": 80}]
        rules = {"timezone": ZONE, "approval": "automatic"}
        bureau.mapping = parse_mapping(json.dumps({"project_mappings": projects, "billing_rules": rules}))
        story = Story(now=bureau.clock().replace(year=2025, month=12))

        async def tell() -> None:
            assert bureau.taiga is not None
            bureau.taiga.put(story.item)
            event = story.events[-1]
            await dispatch(Work(event.subject, (event,), event), bureau.context)

        story.type(billable=True, hours=2)
        story.close()
        await tell()
        await bureau.bill()
        story.type(hours=3)
        await tell()
        (correction,) = (await bureau.plan()).invoices
        assert (correction.lines[0].quantity, correction.entries[0].number) == (Decimal(1), "TAIGA-T7-2")
        await bureau.bill()
        story.type(hours=1)
        await tell()
        assert bureau.reviews.kinds == ["credit_proposal"]
        assert await bureau.bill(DECEMBER, acme) == ["nothing is unbilled"]
        assert sum(invoice.amount for invoice in await bureau.invoices()) == 240


async def test_hours_that_a_person_changed_are_what_is_locked() -> None:
    """The ledger corrects against what the invoice bills, not against what we once sent."""
    async with office() as bureau:
        acme = await bureau.client()
        projects = [{"taiga_project_id": 1, "invoiceninja_client_id": acme, "default_hourly_rate": 80}]
        rules = {"timezone": ZONE, "approval": "automatic"}
        bureau.mapping = parse_mapping(json.dumps({"project_mappings": projects, "billing_rules": rules}))
        story = Story(now=bureau.clock().replace(year=2025, month=12))

        async def tell() -> str:
            event = story.events[-1]
            return (await dispatch(Work(event.subject, (event,), event), bureau.context)).reason

        story.type(billable=True, hours=2)
        story.close()
        await tell()
        task = await bureau.ninja.find_task("TAIGA-T7")
        assert task is not None
        entry = type(task.log[0])(task.log[0].started_at, task.log[0].ended_at + 3600)
        await bureau.ninja.replace_log(task, [entry])
        (told,) = await bureau.bill()
        assert told == "invoice 0001: 240.00 USD for 3 h"
        story.type(hours=3)
        assert await tell() == "3 h are on an invoice already: nothing to change"


async def test_the_status_is_written_without_other_events() -> None:
    """When the store has forgotten an item's events, its status is written all the same."""
    async with office() as bureau:
        bureau.taiga = FakeTaiga()
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.synced(acme, "2", 7)
        bureau.taiga.put(Story(is_closed=True, values={"Invoice Status": "Pending Invoice"}).item)
        await bureau.bill()
        (told,) = [event for event in bureau.events.waiting.values() if event.type == TASK_INVOICED]
        assert await bureau.settle(as_event(told, 1)) == '"Invoice Status" set to "Invoiced"'
        assert bureau.taiga.named("task", 7)["Invoice Status"] == "Invoiced"
        assert await bureau.settle(as_event(told, 1)) == "its status is correct"
        bureau.taiga.items.clear()
        assert await bureau.settle(as_event(told, 1)) == "the item is gone from Taiga"
        bureau.taiga = None
        assert "no credentials" in await bureau.settle(as_event(told, 1))


async def test_without_invoice_ninja() -> None:
    """A context without the means to make invoices says what to configure."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.work(acme, "1")
        event = bureau.due(await bureau.plan(), acme)
        context = bureau.context
        bare = type(context)(context.mapping, context.clock, context.ninja, context.links, context.reviews)
        with pytest.raises(NeedsPerson, match="cannot be made here"):
            await dispatch(Work(event.subject, (event,), event), bare)


async def test_divided_time_is_followed_by_the_ledger() -> None:
    """After the first part of divided work is billed, more hours in Taiga go into the rest: none twice, none lost."""
    async with office() as bureau:
        acme = await bureau.client()
        projects = [{"taiga_project_id": 1, "invoiceninja_client_id": acme, "default_hourly_rate": 80}]
        rules = {"timezone": ZONE, "approval": "automatic", "split_at_period_end": True}
        bureau.mapping = parse_mapping(json.dumps({"project_mappings": projects, "billing_rules": rules}))
        story = Story(now=bureau.clock().replace(hour=0, minute=58))

        async def tell() -> None:
            event = story.events[-1]
            await dispatch(Work(event.subject, (event,), event), bureau.context)

        story.type(billable=True, hours=4)
        story.close()
        await tell()
        (told,) = await bureau.bill()
        assert told == "invoice 0001: 160.00 USD for 2 h"
        (rest,) = await bureau.unbilled()
        assert (rest.number, rest.seconds) == ("TAIGA-T7-2", 2 * 3600)
        story.type(hours=5)
        await tell()
        (rest,) = await bureau.unbilled()
        assert (rest.number, rest.seconds) == ("TAIGA-T7-2", 3 * 3600)
        await bureau.bill(bureau.month("2026-01"))
        assert sum(invoice.amount for invoice in await bureau.invoices()) == 400
        await bureau.check_books()


async def test_changes_that_are_being_recorded() -> None:
    """While an event of the work is in hand, the invoice waits for it; one that failed only leaves its entry out."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme)
        await bureau.synced(acme, "2", 7)
        await bureau.work(acme, "1")
        made = await bureau.plan()
        event = Unresolved(1, "taiga:task:7", "received", "#7", "", "", 1, is_in_hand=True)
        bureau.plans.unresolved_events.append(event)
        with pytest.raises(RetryLater, match="being recorded"):
            await bureau.once(bureau.due(made, acme))
        bureau.plans.unresolved_events[0] = replace(event, status="retrying", is_in_hand=False)
        assert await bureau.settle(bureau.due(made, acme)) == "invoice 0001: 80.00 USD for 1 h"
