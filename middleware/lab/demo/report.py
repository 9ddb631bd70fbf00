"""What arrived in Invoice Ninja beside what should have, as a table."""

from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from mappings.codes import Code
from mappings.invoiceninja.tasks import Task
from mappings.time.entry import entry_number
from middleware.lab.demo.work import Expected, Story
from middleware.store.database import Pool
from middleware.store.events.events import EventRow, EventStore


@dataclass(frozen=True, slots=True)
class Seen:
    """One story with what became of it: the live entry, if there is one, and the last word about its events."""

    story: Story
    entry: Task | None
    status: str
    code: str
    reason: str

    @property
    def hours(self) -> Decimal:
        """The billed hours in Invoice Ninja."""
        log = self.entry.spans if self.entry else ()
        return Decimal(sum(end - start for start, end in log)) / 3600

    @property
    def is_as_expected(self) -> bool:
        """Whether Invoice Ninja holds just what it should, and the outcome is the right one."""
        expected: Expected = self.story.expected
        if expected.hours is not None:
            return self.entry is not None and (self.hours, self.entry.rate) == (expected.hours, expected.rate)
        return self.entry is None and expected.code == self.code


async def look(stories: list[Story], entries: list[Task], pool: Pool) -> list[Seen]:
    """Put every story together with its entry and the outcome that explains it."""
    by_number = {entry.number: entry for entry in entries if not entry.is_deleted}
    events = EventStore(pool)
    seen = []
    for story in stories:
        rows = await events.list(subject=f"taiga:task:{story.card.id}", limit=100)
        entry = by_number.get(entry_number("task", story.card.id))
        seen.append(Seen(story, entry, *_explanation(rows, wanted="TAIGA" if entry else "")))
    return seen


def _explanation(rows: list[EventRow], wanted: str) -> tuple[str, str, str]:
    """The newest outcome that says more than that another event was taken; one about the entry, if there is one."""
    own = [row for row in rows if row.outcome_code not in (Code.TAKEN_TOGETHER, Code.OWN_ECHO)]
    telling = [row for row in own if wanted in row.reason and "already" not in row.reason] or own
    newest = max(telling, key=lambda row: row.finished_at or row.received_at, default=None)
    return (newest.status, newest.outcome_code, newest.reason) if newest else ("", "", "no event arrived")


def print_report(seen: list[Seen]) -> None:
    """One line a story."""
    console = Console()
    table = Table(title="Work in Taiga, time entries in Invoice Ninja", title_justify="left", show_edge=False)
    table.add_column("task")
    table.add_column("what people did")
    table.add_column("entry", no_wrap=True)
    table.add_column("hours", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("outcome", overflow="fold")
    table.add_column("")
    for one in seen:
        mark = "[green]as expected[/]" if one.is_as_expected else "[red]NOT as expected[/]"
        table.add_row(
            f"#{one.story.card.item.ref}",
            one.story.told,
            one.entry.number if one.entry else "-",
            f"{one.hours:.2f}" if one.entry else "-",
            f"{one.entry.rate:.2f}" if one.entry else "-",
            f"{one.status}: {one.reason}",
            mark,
        )
    Console(width=None if console.is_terminal else 170).print(table)
