"""One task of Taiga and its entry in Invoice Ninja, to which people do everything that they can do there."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

from handlers.event import Work
from handlers.invoices.balance import ask_people, hour_balance
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from mappings.invoices.balance import HourBalance
from middleware.lab.sandbox.invoiceninja.table import Row
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import ZONE, Office, office
from tests.support.webhook_story import Story

ENDED = datetime(2025, 12, 10, 11, tzinfo=UTC)
HOURS, BILLABLE = "Duration (Hours)", "Billable"


@dataclass
class Desk:
    """An office with one task, `#7`, whose 5 h were closed in December."""

    office: Office
    taiga: FakeTaiga
    client_id: str = ""
    other_id: str = ""
    stories: list[Story] = field(default_factory=list)

    async def open_item(self, hours: str = "5") -> Story:
        """A task is closed in Taiga, and recorded."""
        number = 7 + len(self.stories)
        story = Story(id=number, ref=number, is_closed=True, finished_at=ENDED, project_id=1)
        self.stories.append(story)
        self.taiga.put(story.item)
        await self.tell(story, hours=hours, billable=True)
        return story

    async def tell(self, story: Story, *, hours: str | None = None, billable: bool | None = None) -> str:
        """Somebody types into Taiga; returns what was done."""
        for name, value in ((HOURS, hours), (BILLABLE, billable)):
            if value is not None:
                self.taiga.fill_in(story.kind, story.id, name, value)
        story.values = self.taiga.named(story.kind, story.id)
        event = story.tell()
        return (await dispatch(Work(event.subject, (event,), event), self.office.context)).reason

    async def look_again(self) -> str:
        """Somebody comments on each task: all are looked at again."""
        return "; ".join([await self.tell(story) for story in self.stories])

    async def balance(self) -> HourBalance:
        """The balance as it is, after people were asked about what waits."""
        found = await hour_balance(self.office.world, self.office.context)
        await ask_people(found, self.office.world, self.office.context)
        return await hour_balance(self.office.world, self.office.context)

    def task(self, number: str = "TAIGA-T7") -> Row:
        """The entry in Invoice Ninja's table."""
        row = self.office.state.tables["tasks"].numbered(number)
        assert row is not None
        return row

    def invoice(self) -> Row:
        """The newest invoice."""
        return list(self.office.state.tables["invoices"])[-1]

    async def bill_by_hand(self, task: Row) -> None:
        """A person bills an entry, with the time that it shows."""
        hours = Decimal(sum(end - start for start, end, *_rest in json.loads(task["time_log"]))) / 3600
        line = {"type_id": "2", "task_id": task.id, "quantity": hours, "cost": 80}
        day = self.office.clock().date().isoformat()
        await self.act("POST", "/invoices", client_id=task["client_id"], line_items=[line], date=day)

    async def act(self, method: str, path: str, **body: object) -> None:
        """A person does something in Invoice Ninja."""
        await self.office.ninja._request(method, path, body=body or None)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """A desk on New Year's morning."""
    async with office() as bureau:
        made = Desk(bureau, FakeTaiga())
        bureau.taiga = made.taiga
        made.client_id, made.other_id = await bureau.client("Acme"), await bureau.client("Globex")
        project = {"taiga_project_id": 1, "invoiceninja_client_id": made.client_id, "default_hourly_rate": 80}
        rules = {"timezone": ZONE, "approval": "automatic"}
        bureau.mapping = parse_mapping(json.dumps({"project_mappings": [project], "billing_rules": rules}))
        await made.open_item()
        yield made
