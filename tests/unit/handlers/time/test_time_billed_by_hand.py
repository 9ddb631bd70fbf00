"""Hours that a person bills in the moment in which they are being changed: the invoice tells which ones it found."""

import json
from decimal import Decimal

import pytest

from handlers.errors import Doubtful
from handlers.event import Event, Work
from handlers.outcome import Outcome
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from tests.support.invoicing.invoicing_bench import Office
from tests.support.webhook_story import Story


async def billable(bureau: Office) -> Story:
    """Work of six hours in a project that is billed; it is not closed yet."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": await bureau.client(), "default_hourly_rate": 75}
    bureau.mapping = parse_mapping(json.dumps({"project_mappings": [project]}))
    story = Story()
    story.type(billable=True, hours=6)
    return story


async def recorded(bureau: Office) -> Story:
    """The same, closed and recorded."""
    story = await billable(bureau)
    await told(bureau, story.close())
    return story


async def changed_too_late(bureau: Office, story: Story, quantity: str) -> None:
    """Eight hours are typed, but the change of the entry comes after this quantity was billed."""
    bureau.faults.add(method="PUT", path="/tasks", action="late", seconds=3600)
    with pytest.raises(Doubtful):
        await told(bureau, story.type(hours=8))
    await bill(bureau, quantity)
    await bureau.faults.catch_up()
    await told(bureau, story.events[-1])


async def told(bureau: Office, event: Event) -> Outcome:
    """A webhook is settled."""
    return await dispatch(Work(event.subject, (event,), event), bureau.context)


async def bill(bureau: Office, quantity: str) -> None:
    """A person puts the entry on an invoice; Invoice Ninja shows the hours rounded."""
    (task,) = bureau.state.tables["tasks"]
    line = {"type_id": "2", "task_id": task.id, "quantity": quantity, "cost": 75}
    await bureau.ninja._request(
        "POST", "/invoices", body={"client_id": task["client_id"], "line_items": [line], "date": "2026-01-01"}
    )


def hours(bureau: Office) -> list[Decimal]:
    """The hours of the entries that are there."""
    rows = [row for row in bureau.state.tables["tasks"] if not row["is_deleted"]]
    return [Decimal(sum(end - start for start, end, *_ in json.loads(row["time_log"]))) / 3600 for row in rows]


async def test_the_invoice_found_the_new_hours(bureau: Office) -> None:
    """The change was made, its answer was lost, and the new hours were billed: nothing more is owed."""
    story = await recorded(bureau)
    bureau.faults.add(method="PUT", path="/tasks", action="cut", when="after")
    with pytest.raises(Doubtful):
        await told(bureau, story.type(hours=8))
    await bill(bureau, "8.0")
    await told(bureau, story.events[-1])
    assert hours(bureau) == [8]
    assert not bureau.reviews.kinds


async def test_the_change_came_after_the_invoice(bureau: Office) -> None:
    """The old hours were billed, and the change came late: the difference becomes an entry of its own."""
    story = await recorded(bureau)
    await changed_too_late(bureau, story, "6.001")
    assert sorted(hours(bureau)) == [2, 8]
    assert not bureau.reviews.kinds


async def test_the_invoice_found_hours_that_nobody_remembers(bureau: Office) -> None:
    """Nobody heard that the entry was made; it was billed, and a change came late: the line alone tells the hours."""
    story = await billable(bureau)
    bureau.faults.add(method="POST", path="/tasks", action="cut", when="after")
    bureau.faults.add(method="GET", path="/tasks", action="cut")
    with pytest.raises(Doubtful):
        await told(bureau, story.close())
    await changed_too_late(bureau, story, "6")
    assert sorted(hours(bureau)) == [2, 8]


@pytest.mark.parametrize("line", ["other work", "taken back", "no invoice"])
async def test_the_invoice_does_not_tell(bureau: Office, line: str) -> None:
    """No line of the invoice bills the entry, or less than nothing, or it is gone: the hours that we sent count."""
    story = await recorded(bureau)
    bureau.faults.add(method="PUT", path="/tasks", action="cut", when="after")
    with pytest.raises(Doubtful):
        await told(bureau, story.type(hours=8))
    await bill(bureau, "8")
    (invoice,) = bureau.state.tables["invoices"]
    if line == "other work":
        invoice["line_items"][0]["task_id"] = ""
    elif line == "taken back":
        invoice["line_items"][0]["quantity"] = -8
    else:
        bureau.faults.add(path="/invoices/", status=400, body={"message": "No query results for model"})
    await told(bureau, story.events[-1])
    assert sorted(hours(bureau)) == [2, 8]
