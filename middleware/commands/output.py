"""Tables as plain text: fast for thousands of rows, and what people typed is never read as markup."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len

_GAP = "  "
_NARROWEST = 20


@dataclass
class PlainTable:
    """Rows under headings. `folded` columns share what room the others leave; columns of `right` are flush right."""

    headings: Sequence[str]
    folded: frozenset[int]
    right: frozenset[int]
    _rows: list[Sequence[str] | None] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """One more row."""
        self._rows.append(cells)

    def rule(self) -> None:
        """A line across."""
        self._rows.append(None)

    def lines(self, room: int) -> Iterator[str]:
        """The table in lines of at most `room` columns, as far as the columns that are not folded allow."""
        widths = self._widths(room)
        rule = "─" * (sum(widths) + len(_GAP) * (len(widths) - 1))
        yield from self._told(self.headings, widths)
        yield rule
        for row in self._rows:
            if row is None:
                yield rule
            else:
                yield from self._told(row, widths)

    def _widths(self, room: int) -> list[int]:
        rows = [self.headings, *(row for row in self._rows if row is not None)]
        widths = [max(cell_len(row[column]) for row in rows) for column in range(len(self.headings))]
        fixed = sum(width for column, width in enumerate(widths) if column not in self.folded)
        left = room - fixed - len(_GAP) * (len(widths) - 1)
        for count, column in enumerate(sorted(self.folded, key=lambda one: widths[one])):
            widths[column] = min(widths[column], max(_NARROWEST, left // (len(self.folded) - count)))
            left -= widths[column]
        return widths

    def _told(self, row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        parts = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number in range(max(len(part) for part in parts)):
            cells = [part[number] if number < len(part) else "" for part in parts]
            padded = [
                _padded(cell, width, right=column in self.right)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            yield _GAP.join(padded).rstrip()


def _folded(cell: str, width: int) -> list[str]:
    return [cell] if cell_len(cell) <= width else textwrap.wrap(cell, width) or [""]


def _padded(cell: str, width: int, *, right: bool) -> str:
    gap = " " * (width - cell_len(cell))
    return gap + cell if right else cell + gap
