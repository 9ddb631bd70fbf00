"""From entries to invoice lines. Every task is billed by exactly one line, also in groups.

A line names one task only, and saving an invoice unlinks every task that no line names (docs/facts/invoice-ninja.md
section 7). So a group's first line carries the whole quantity, and each further task has a line of quantity 0.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from mappings.invoices.models import Entry, Line
from mappings.invoices.period import Period
from mappings.invoices.totals import quantity_of
from mappings.values.hours import seconds_to_hours
from mappings.values.text import inert, shortened

_LONGEST_NOTES = 2000
_NOTHING = Decimal(0)

_TITLES: Mapping[str, Callable[[Entry], str]] = {
    "project": lambda entry: inert(entry.project) or "Without a project",
    "user": lambda entry: inert(entry.person) or "Without a person",
    # Hours of Taiga are known by the day on which the work was closed; they may be those of weeks.
    "day": lambda entry: entry.day.isoformat() if entry.has_clock_times else f"closed {entry.day}",
    "none": lambda _entry: "Services",
}


def lines_of(entries: Iterable[Entry], group_by: str, period: Period) -> tuple[Line, ...]:
    """The lines for the entries of one invoice, in a stable order."""
    ordered = sorted(entries, key=lambda entry: (entry.day, entry.number, entry.task_id))
    if group_by == "task":
        return tuple(_line(entry) for entry in ordered)
    title_of = _TITLES[group_by]
    groups: dict[tuple[object, ...], list[Entry]] = {}
    for entry in ordered:
        key = (title_of(entry), entry.rate, entry.taxes, entry.product_key)
        groups.setdefault(key, []).append(entry)
    titled = sorted(groups.values(), key=lambda group: (title_of(group[0]), group[0].rate, group[0].number))
    return tuple(line for group in titled for line in _group(group, title_of(group[0]), period))


def _line(entry: Entry) -> Line:
    notes = shortened(f"{inert(entry.description)}\n{_when_and_who(entry)}", _LONGEST_NOTES)
    return Line(entry.task_id, notes, quantity_of(entry.seconds), entry.rate, entry.taxes, entry.product_key)


def _group(group: list[Entry], title: str, period: Period) -> Iterable[Line]:
    first, *others = group
    seconds = sum(entry.seconds for entry in group)
    heading = title if title.endswith(first.day.isoformat()) else f"{title}, {_when(group, period)}"
    notes = shortened(f"{heading}\n{_named(first)}", _LONGEST_NOTES)
    yield Line(first.task_id, notes, quantity_of(seconds), first.rate, first.taxes, first.product_key)
    for entry in others:
        yield Line(entry.task_id, f"{_named(entry)}, included above", _NOTHING, _NOTHING)


def _when(group: list[Entry], period: Period) -> str:
    """The period; the days themselves when some of the work is older, because it came late or a run was missed."""
    first = min(entry.first_day for entry in group)
    return period.name if first >= period.first else f"{first} to {max(entry.day for entry in group)}"


def _named(entry: Entry) -> str:
    return f"{shortened(inert(entry.description), _LONGEST_NOTES // 2)} ({_when_and_who(entry)}, {_hours(entry)} h)"


def _hours(entry: Entry) -> Decimal:
    return seconds_to_hours(entry.seconds)


def _when_and_who(entry: Entry) -> str:
    days = f"{entry.day}" if entry.first_day == entry.day else f"{entry.first_day} to {entry.day}"
    return f"{days}, {inert(entry.person)}" if entry.person else days
