"""What must hold of the books after a month's end, computed from the tables of the sandbox alone."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja.table import Row
from tests.support.fakes import FakeReviews
from tests.support.invoicing.month_end import Month
from tests.support.invoicing.month_end_people import RATE, Item, hours_of, live_invoices

DRAFT = "1"


@dataclass
class Books:
    """The live invoices, and the lines that bill each task."""

    of: Month
    invoices: list[Row] = field(default_factory=list)
    lines: defaultdict[str, list[tuple[Row, dict[str, Any]]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.invoices = live_invoices(self.of.state)
        for invoice in self.invoices:
            for line in invoice["line_items"]:
                self.lines[line["task_id"]].append((invoice, line))

    @property
    def reviews(self) -> FakeReviews:
        """What needs a person."""
        return self.of.office.reviews

    def is_for_a_person(self, task: Row) -> bool:
        """Whether one of its invoices was sent, and a person is told that something is wrong with it."""
        told = {details.get("invoice_id") for _summary, details in self.reviews.opened.values()}
        return any(invoice.id in told and invoice["status_id"] != DRAFT for invoice, _line in self.lines[task.id])

    def doubles(self) -> list[str]:
        """Hours that are billed twice, unless a person is to cancel one of the invoices."""
        found = []
        for task in self.of.state.tables["tasks"]:
            invoices = [invoice for invoice, _line in self.lines[task.id]]
            if len(invoices) > 1 and not self.is_for_a_person(task):
                found.append(f"{task['number']} is on {[invoice['number'] for invoice in invoices]}")
        return found

    def faults(self, left_out: set[str]) -> list[str]:
        """Everything that is wrong. `left_out` are tasks that a plan tells to be on somebody's own invoice."""
        tasks = [fault for row in self.of.state.tables["tasks"] for fault in self._task(row, left_out)]
        items = [fault for item in self.of.people.items for fault in self._item(item, left_out)]
        return [*self.doubles(), *tasks, *items, *self._sums(), *self._links()]

    def _task(self, row: Row, left_out: set[str]) -> Iterator[str]:
        number, billed = row["number"], self.lines[row.id]
        is_ours = number.startswith("TAIGA-")
        if row["is_deleted"]:
            if billed and not is_ours:
                yield f"{number} is deleted and billed"
            return
        if not billed:
            yield f"{number} is not billed"
        elif row["invoice_id"] not in {invoice.id for invoice, _line in billed} and number not in left_out:
            yield f"{number} is linked to {row['invoice_id']!r}"
        for invoice, line in billed:
            if not is_ours and Decimal(str(line["quantity"])) != hours_of(row):
                yield f"{number} has {hours_of(row)} h, {invoice['number']} bills {line['quantity']}"

    def _item(self, item: Item, left_out: set[str]) -> Iterator[str]:
        """All parts of a task of Taiga sum up to its hours; when it has fewer than were billed, a person is asked."""
        name = f"TAIGA-T{item.story.id}"
        rows = [row for row in self.of.state.tables["tasks"] if f"{row['number']}-".startswith(f"{name}-")]
        if any(row["number"] in left_out or self.is_for_a_person(row) or self._lost_its_link(row) for row in rows):
            return
        billed = sum((Decimal(str(line["quantity"])) for row in rows for _, line in self.lines[row.id]), Decimal(0))
        wish = item.wishes[-1]
        is_asked = (item.name, "credit_proposal") in self.reviews.opened
        if billed != wish and not (is_asked and wish < billed):
            yield f"{name}: {billed} h are billed, the wishes were {item.wishes}"

    def _lost_its_link(self, row: Row) -> bool:
        """Whether a person's invoice bills it while Invoice Ninja shows it as free: a later one of it was deleted."""
        return any(
            not invoice["custom_value4"] and row["invoice_id"] != invoice.id for invoice, _line in self.lines[row.id]
        )

    def _sums(self) -> Iterator[str]:
        for invoice in self.invoices:
            expected = sum(Decimal(str(line["quantity"])) * RATE for line in invoice["line_items"])
            if Decimal(str(invoice["amount"])) != expected:
                yield f"{invoice['number']} is over {invoice['amount']}, not {expected}"

    def _links(self) -> Iterator[str]:
        links = self.of.office.links.rows.values()
        yield from (f"{link.number} is not finished" for link in links if link.kind == "invoice" and not link.remote_id)
        invoiced = {(link.number, link.remote_id) for link in links if link.kind == "invoiced"}
        # Of two invoices for the same hours, a person says which one stays.
        for task in (row for row in self.of.state.tables["tasks"] if not self.is_for_a_person(row)):
            for invoice, _line in self.lines[task.id]:
                is_ours = bool(invoice["custom_value4"])
                if is_ours and (task["number"], invoice.id) not in invoiced:
                    yield f"nobody remembers that {invoice['number']} bills {task['number']}"
