"""Shapes of charts in numbers; templates draw them as SVG. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from middleware.dashboard.formats import count_text, day_text

HEIGHT = 100
STEP = 10
WIDTH = 7


@dataclass(frozen=True, slots=True)
class Segment:
    """One coloured part of a column, in units of the drawing; `series` names its class."""

    series: str
    y: str
    height: str


@dataclass(frozen=True, slots=True)
class Column:
    """One day of a chart. `values` are in the order of the series."""

    x: int
    label: str
    values: tuple[int, ...]
    segments: tuple[Segment, ...]

    @property
    def total(self) -> int:
        """All series together."""
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class DayChart:
    """Stacked columns, a day each. `description` says in words what the picture shows."""

    series: tuple[str, ...]
    columns: tuple[Column, ...]
    highest: int
    description: str

    @property
    def width(self) -> int:
        """Of the drawing, in its units."""
        return STEP * len(self.columns) - (STEP - WIDTH)


def day_chart(counts: Mapping[tuple[date, str], int], first: date, last: date, series: Sequence[str]) -> DayChart:
    """The chart of counts by (day, series) from the first day to the last."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    values = {day: tuple(counts.get((day, name), 0) for name in series) for day in days}
    highest = max((sum(numbers) for numbers in values.values()), default=0)
    columns = tuple(
        Column(STEP * number, day_text(day), values[day], _segments(values[day], series, highest))
        for number, day in enumerate(days)
    )
    total = sum(column.total for column in columns)
    busiest = max(columns, key=lambda column: column.total)
    description = f"{count_text(total)} from {day_text(first)} to {day_text(last)}"
    if total:
        description += f"; most on {busiest.label} with {count_text(busiest.total)}"
    return DayChart(tuple(series), columns, highest, description)


def _segments(numbers: Sequence[int], series: Sequence[str], highest: int) -> tuple[Segment, ...]:
    segments, top = [], Decimal(HEIGHT)
    for name, number in zip(series, numbers, strict=True):
        if number:
            height = Decimal(HEIGHT) * number / highest
            top -= height
            segments.append(Segment(name, f"{top:.2f}", f"{height:.2f}"))
    return tuple(segments)


def shares(values: Sequence[Decimal]) -> list[str]:
    """Lengths of bars in percent of the longest."""
    longest = max(values, default=Decimal(0))
    return [f"{(100 * value / longest if longest else Decimal(0)):.1f}" for value in values]
