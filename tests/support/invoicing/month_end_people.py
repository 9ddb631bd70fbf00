"""What people do in Taiga and in Invoice Ninja while a month is billed, by chance; and what they wished for."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from handlers.event import Event
from middleware.lab.sandbox.invoiceninja import NinjaState, documents, ledger, records
from middleware.lab.sandbox.invoiceninja.invoice_actions import delete_invoice, link_tasks, send_mail
from middleware.lab.sandbox.invoiceninja.shapes import INVOICE, TASK
from middleware.lab.sandbox.invoiceninja.table import Row
from tests.support.fakes import FakeTaiga
from tests.support.invoicing.invoicing_bench import Clock, local
from tests.support.webhook_story import Story

RATE = 80
HOURS, BILLABLE = "Duration (Hours)", "Billable"
ENDED = datetime(2025, 12, 10, 11, tzinfo=UTC)


@dataclass
class Item:
    """A closed Taiga task, and all hours that it was ever to be billed with; the last ones count."""

    story: Story
    wishes: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The subject of its events."""
        return self.story.name


class People:
    """Everybody but us: each act is done at once, in the sandbox itself."""

    def __init__(
        self, chance: random.Random, clock: Clock, state: NinjaState, is_at_rest: Callable[[str], bool]
    ) -> None:
        self._chance, self._clock, self._state, self._is_at_rest = chance, clock, state, is_at_rest
        self.taiga = FakeTaiga()
        self.items: list[Item] = []
        self.post: list[Event] = []
        """Webhooks of Taiga that nobody took yet."""
        self.client_id = ""
        self.acts: tuple[Callable[[], None], ...] = (
            *(self.type_hours,) * 4,
            *(self.toggle_billable,) * 2,
            self.open_item,
            *(self.enter,) * 1,
            *(self.correct,) * 3,
            self.take_back,
            *(self.bill_by_hand,) * 3,
            *(self.delete_draft,) * 2,
            *(self.send_draft,) * 1,
        )

    def open_item(self) -> None:
        """A task is closed in Taiga."""
        number = len(self.items) + 1
        story = Story(id=number, ref=number, is_closed=True, finished_at=ENDED)
        item = Item(story)
        self.items.append(item)
        self.taiga.put(story.item)
        self._tell(item, hours=self._hours(), is_billable=True)

    def type_hours(self) -> None:
        """Somebody corrects the hours of a task in Taiga."""
        item = self._chance.choice(self.items)
        self._tell(item, hours=self._hours())

    def toggle_billable(self) -> None:
        """Somebody ticks or unticks "Billable"."""
        item = self._chance.choice(self.items)
        self._tell(item, is_billable=not item.story.values.get(BILLABLE))

    def enter(self) -> None:
        """Somebody enters hours in Invoice Ninja itself."""
        born = {**TASK, **records.born(self._state), "client_id": self.client_id, "rate": RATE}
        log = _log(self._hours())
        values = {**born, "number": self._state.next_number("task"), "time_log": log, "description": "Meeting"}
        self._state.tables["tasks"].add(values, {"hash": ""})

    def correct(self) -> None:
        """Somebody corrects hours that they entered there, as long as no invoice bills them."""
        if own := [row for row in self._free() if not row["number"].startswith("TAIGA-")]:
            records.change(self._state, "tasks", self._chance.choice(own), {"time_log": _log(self._hours())})

    def take_back(self) -> None:
        """Somebody deletes hours that they entered there, as long as no invoice bills them."""
        if own := [row for row in self._free() if not row["number"].startswith("TAIGA-")]:
            records.delete(self._state, "tasks", self._chance.choice(own))

    def bill_by_hand(self) -> None:
        """Somebody makes an invoice of hours that are free, as they are.

        Not of those that are being recorded: which of the hours were billed then is a question for the time ledger.
        """
        if not (free := [row for row in self._free() if self._is_at_rest(_subject(row["number"]))]):
            return
        tasks = self._chance.sample(free, min(len(free), self._chance.randint(1, 2)))
        work = {"type_id": "2", "cost": RATE, "notes": "work"}
        lines = [{**work, "task_id": task.id, "quantity": float(hours_of(task))} for task in tasks]
        values = {**INVOICE, **records.born(self._state), "client_id": self.client_id}
        values |= {"date": self._state.company_today(), "number": self._state.next_number("invoice")}
        values |= documents.with_sums(self._state, values, lines)
        link_tasks(self._state, self._state.tables["invoices"].add(values))

    def delete_draft(self) -> None:
        """Somebody deletes a draft."""
        if drafts := [row for row in live_invoices(self._state) if row["status_id"] == ledger.DRAFT]:
            delete_invoice(self._state, self._chance.choice(drafts))

    def send_draft(self) -> None:
        """Somebody sends a draft."""
        if drafts := [row for row in live_invoices(self._state) if row["status_id"] == ledger.DRAFT]:
            send_mail(self._state, self._chance.choice(drafts))

    def _free(self) -> list[Row]:
        """What Invoice Ninja shows as unbilled."""
        billed = {line["task_id"] for row in live_invoices(self._state) for line in row["line_items"]}
        rows = self._state.tables["tasks"]
        return [row for row in rows if not (row["is_deleted"] or row["invoice_id"] or row.id in billed)]

    def _hours(self) -> int:
        return self._chance.randint(1, 9)

    def _tell(self, item: Item, *, hours: int | None = None, is_billable: bool | None = None) -> None:
        story = item.story
        if hours is not None:
            self.taiga.fill_in(story.kind, story.id, HOURS, hours)
        if is_billable is not None:
            self.taiga.fill_in(story.kind, story.id, BILLABLE, is_billable)
        story.values = self.taiga.named(story.kind, story.id)
        item.wishes.append(story.values[HOURS] if story.values[BILLABLE] else 0)
        story.now = self._clock()
        self.post.append(story.tell())


def live_invoices(state: NinjaState) -> list[Row]:
    """The invoices that ask for money, drafts included."""
    return [row for row in state.tables["invoices"] if not row["is_deleted"]]


def hours_of(task: Row) -> Decimal:
    """The hours of a task's log."""
    log: list[list[Any]] = json.loads(task["time_log"])
    return Decimal(sum(entry[1] - entry[0] for entry in log)) / 3600


def _subject(number: str) -> str:
    return f"taiga:task:{number.removeprefix('TAIGA-T').partition('-')[0]}"


def _log(hours: int) -> str:
    ended = local("2025-12-12 12:00")
    return json.dumps([[ended - hours * 3600, ended, "", True]])
