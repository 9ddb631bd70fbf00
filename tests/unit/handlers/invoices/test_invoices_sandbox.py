"""Whole runs against the sandbox Invoice Ninja: what is billed, and that it is billed once."""

from decimal import Decimal

import pytest

from tests.support.invoicing.invoicing_bench import DECEMBER, office


async def test_a_month_becomes_an_invoice() -> None:
    """Every hour of the month is on a draft with the client's next number, linked to its task, with our own sum."""
    async with office() as bureau:
        acme = await bureau.client("Acme")
        bureau.rules(acme, taxes=[{"name": "VAT", "rate": 21}])
        await bureau.work(acme, "1.5")
        await bureau.synced(acme, "2.25", 7, rate="100")
        assert await bureau.bill() == ["invoice 0001: 417.45 USD for 3.75 h"]
        (invoice,) = await bureau.invoices()
        assert (invoice.number, invoice.amount, invoice.date, invoice.due_date, invoice.status_id) == (
            "0001",
            Decimal("417.45"),
            "2026-01-01",
            "2026-01-31",
            "1",
        )
        assert not await bureau.unbilled()
        await bureau.check_books()
        assert await bureau.bill(DECEMBER, acme) == ["nothing is unbilled"]


@pytest.mark.parametrize("group_by", ["task", "project", "user", "day", "none"])
async def test_grouped_lines_link_every_task(group_by: str) -> None:
    """However lines are grouped, each task is named by exactly one line, and the sum is that of its hours."""
    async with office() as bureau:
        acme = await bureau.client()
        bureau.rules(acme, group_by=group_by)
        for day in range(1, 6):
            await bureau.work(acme, "1.1", f"2025-12-0{day} 12:00", rate="33.33")
        (told,) = await bureau.bill()
        (invoice,) = await bureau.invoices()
        assert len(invoice.task_ids) == 5
        expected = Decimal("183.32") if group_by in {"project", "user", "none"} else Decimal("183.30")
        assert (invoice.amount, "flag" in told) == (expected, False)
        await bureau.check_books()


async def test_requests_grow_with_pages() -> None:
    """A plan asks for pages of 500, never for single entries; an invoice of many lines costs a handful of requests."""
    async with office() as bureau:
        clients = [await bureau.client(f"C{number}") for number in range(5)]
        bureau.rules(*clients)
        template = (await bureau.work(clients[0], "1")).id
        table = bureau.state.tables["tasks"]
        row = table.get(template)
        assert row is not None
        for number in range(1_000):
            table.add({**row.data, "number": f"N{number}", "client_id": clients[number % 5]}, {"hash": ""})
        bureau.faults.requests.clear()
        made = await bureau.plan()
        assert sum(len(invoice.entries) for invoice in made.invoices) == 1_001
        assert (bureau.faults.count("GET", "/tasks"), len(bureau.faults.requests)) == (3, 9)
        bureau.faults.requests.clear()
        await bureau.bill(DECEMBER, clients[1])
        assert len(bureau.faults.requests) < 25
