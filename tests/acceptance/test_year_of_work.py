"""A year of work: closed in Taiga or entered by hand, corrected, at rates that change, billed by runs that are killed.

What the invoices add up to is compared with a calculation of its own, on plain numbers.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from handlers.event import Event, Work
from handlers.invoices.events import DUE, TASK_INVOICED, run_event
from handlers.registry import dispatch
from mappings.config.file import parse_mapping
from mappings.invoices.calendars import calendars_of
from mappings.invoices.period import latest_run
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import ZONE, Killed, Office, as_event, local, office
from tests.support.webhook_story import Story

SEED = 20251231
CLIENTS = ("Acme", "Globex", "Initech")
PEOPLE = ("ann", "bob", "cho")
VAT = {"Acme": Decimal(21), "Globex": Decimal(0), "Initech": Decimal(0)}
MISSED = 5
QUARTER = Decimal("0.25")


@dataclass
class Item:
    """One Taiga task: the hours that were billed, and those that are not, at the rate that they have."""

    story: Story
    client: str
    billed: Decimal = Decimal(0)
    unbilled: Decimal = Decimal(0)
    rate: Decimal = Decimal(0)


@dataclass
class Year:
    """The people, and what they are owed."""

    office: Office
    taiga: FakeTaiga
    chance: random.Random
    clients: dict[str, str] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    owed: dict[str, Decimal] = field(default_factory=dict)
    rates: dict[str, int] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 100_000)))

    def use_rates(self, **rates: int) -> None:
        """New prices; what is recorded already keeps the old ones."""
        self.rates = rates
        mapping = {
            "project_mappings": [
                {
                    "taiga_project_id": number,
                    "invoiceninja_client_id": self.clients[name],
                    "user_rates": {person: rates[person] + number for person in PEOPLE},
                    "taxes": [{"name": "VAT", "rate": int(VAT[name])}] if VAT[name] else [],
                    "group_by": ("task", "none", "user")[number - 1],
                }
                for number, name in enumerate(CLIENTS, 1)
            ],
            "billing_rules": {
                "timezone": ZONE,
                "rounding": "quarter_hour",
                "approval": "automatic",
                "auto_send": True,
                "payment_terms": "eom",
            },
        }
        self.office.mapping = parse_mapping(json.dumps(mapping))

    async def close_work(self, month: int) -> None:
        """A few tasks of each client are closed."""
        for number, name in enumerate(CLIENTS, 1):
            for _task in range(3):
                day = datetime(2025, month, self.chance.randint(2, 27), 15, tzinfo=UTC)
                item_id = next(self.numbers)
                story = Story(id=item_id, ref=item_id, project_id=number, now=day, assignee=self.chance.choice(PEOPLE))
                item = Item(story, name)
                self.items.append(item)
                story.type(billable=True, hours=str(self._hours()))
                story.close()
                await self._tell(item)

    async def correct_work(self, month: int) -> None:
        """More hours turn up for older tasks, billed or not."""
        for item in self.chance.sample(self.items, 3) if self.items else []:
            item.story.now = max(item.story.now, datetime(2025, month, 5, tzinfo=UTC))
            before = Decimal(item.story.values["Duration (Hours)"])
            item.story.reopen()
            item.story.type(hours=str(before + self._hours()))
            item.story.finished_at = None
            item.story.close()
            await self._tell(item)

    async def enter_by_hand(self, month: int) -> None:
        """Somebody uses Invoice Ninja's own timer."""
        name = self.chance.choice(CLIENTS)
        await self.office.work(self.clients[name], "1.5", f"2025-{month:02}-20 10:00", rate="61.30")
        self._owe(name, Decimal("1.5"), Decimal("61.30"))

    async def run(self, now: datetime) -> None:
        """A run of the calendar, killed somewhere on its way."""
        self.office.clock.now = now
        calendar = calendars_of(self.office.mapping)[0]
        due = latest_run(calendar, now)
        run = as_event(run_event(calendar.name, due.period, due.due_at), 1_000 + now.month)
        self.office.steps.spoil_at(self.chance.randint(1, 9), Killed, "after", requests_only=False)
        await self._settle(run)
        while self.office.events.waiting:
            _key, told = self.office.events.waiting.popitem()
            event = as_event(told, next(self.numbers))
            if told.type == DUE:
                when = self.chance.choice(["before", "after"])
                self.office.steps.spoil_at(self.chance.randint(1, 25), Killed, when, requests_only=False)
            if told.type == TASK_INVOICED:
                await self._write_back(event)
            else:
                await self._settle(event)
        await self.office.check_books()

    async def _settle(self, event: Event) -> None:
        assert not (await self.office.settle(event)).startswith("dead")
        self.office.steps.spoil_at(0, Killed, "after", requests_only=False)

    async def _write_back(self, event: Event) -> None:
        """As the processor hands it over: together with the newest Taiga event, which it must not outdate."""
        newest = next(item.story.events[-1] for item in self.items if item.story.name == event.subject)
        assert event.occurred_at < newest.occurred_at
        await dispatch(Work(event.subject, (event,), newest), self.office.context)

    async def _tell(self, item: Item) -> None:
        self.taiga.put(item.story.item)
        event = item.story.events[-1]
        await dispatch(Work(event.subject, (event,), event), self.office.context)
        typed = Decimal(item.story.values["Duration (Hours)"])
        item.unbilled = (typed / QUARTER).to_integral_value(ROUND_CEILING) * QUARTER - item.billed
        # A price once recorded stays that of the work: its corrections have it, too.
        if item.unbilled and not item.rate:
            item.rate = Decimal(self.rates[item.story.assignee or ""] + item.story.project_id)

    def bill(self) -> None:
        """The calculation of the test: what is not billed yet is owed now."""
        for item in self.items:
            self._owe(item.client, item.unbilled, item.rate)
            item.billed, item.unbilled = item.billed + item.unbilled, Decimal(0)

    def _owe(self, name: str, hours: Decimal, rate: Decimal) -> None:
        tax = (hours * rate * VAT[name] / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        self.owed[name] = self.owed.get(name, Decimal(0)) + hours * rate + tax

    def _hours(self) -> Decimal:
        return Decimal(self.chance.randint(1, 160)) / 20


async def test_a_year_of_work() -> None:
    """Twelve months, one of them missed, every run killed half-way: the invoices add up to the work, to the cent."""
    async with office(datetime(2025, 1, 1, tzinfo=UTC)) as bureau:
        bureau.taiga = FakeTaiga()
        year = Year(bureau, bureau.taiga, random.Random(SEED))  # noqa: S311 - repeatable
        year.clients = {name: await bureau.client(name) for name in CLIENTS}
        year.use_rates(ann=80, bob=95, cho=120)
        for month in range(1, 13):
            if month == 7:
                year.use_rates(ann=85, bob=99, cho=111)
            await year.correct_work(month)
            await year.close_work(month)
            await year.enter_by_hand(month)
            if month != MISSED:
                following = datetime(2025, month, 28, 6, tzinfo=ZoneInfo(ZONE)) + timedelta(days=4)
                await year.run(following.replace(day=1))
                year.bill()
        invoices = await bureau.invoices()
        assert not await bureau.unbilled()
        billed = {
            name: sum(invoice.amount for invoice in invoices if invoice.client_id == client_id)
            for name, client_id in year.clients.items()
        }
        assert billed == year.owed
        assert len(invoices) == 11 * len(CLIENTS)
        assert {mail.entity_id for mail in bureau.state.mails} == {invoice.id for invoice in invoices}
        statuses = {bureau.taiga.named("task", item.story.id)["Invoice Status"] for item in year.items}
        assert statuses == {"Invoiced"}
        assert local("2025-12-31 12:00") < bureau.clock.now.timestamp()
