"""A table in memory: rows in the order of their keys, an index of unique numbers and indices of chosen columns."""

from collections.abc import Collection, Iterator
from typing import Any

from middleware.lab.sandbox.invoiceninja.hashids import encode
from middleware.lab.sandbox.invoiceninja.values import collated

NUMBER_LIMIT = 191
"""Characters of the number column; a longer number is cut silently (facts section 4)."""


class NumberTakenError(Exception):
    """The database refuses a number that the validation let pass: the real server answers 500."""


class Row:
    """One record: `data` as the API shows it (without relations), `private` what it never shows."""

    __slots__ = ("data", "key", "private")

    def __init__(self, key: int, data: dict[str, Any], private: dict[str, Any]) -> None:
        self.key = key
        self.data = data
        self.private = private

    def __getitem__(self, column: str) -> Any:
        return self.data[column]

    @property
    def id(self) -> str:
        """The hashid."""
        return str(self.data["id"])


class Table:
    """Rows of one kind. Every change goes through `change`, which keeps the indices right."""

    def __init__(self, model: str, indexed: Collection[str] = ()) -> None:
        self.model = model
        self._rows: dict[str, Row] = {}
        self._numbers: dict[str, Row] = {}
        self._removed = 0
        self._indices: dict[str, dict[Any, dict[int, Row]]] = {column: {} for column in indexed}

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: Any) -> Row | None:
        """Find a row by its hashid."""
        return self._rows.get(row_id) if isinstance(row_id, str) else None

    def numbered(self, wanted: str) -> Row | None:
        """Find the row with this number, deleted ones included; compares as the database does."""
        return self._numbers.get(collated(wanted))

    def is_indexed(self, column: str) -> bool:
        """Tell whether `having` works for the column."""
        return column in self._indices

    def having(self, column: str, value: Any) -> list[Row]:
        """Give the rows with this value in an indexed column, in the order of their keys."""
        found = self._indices[column].get(value, {})
        return [found[key] for key in sorted(found)]

    def count(self, column: str, value: Any) -> int:
        """Count the rows with this value in an indexed column."""
        return len(self._indices[column].get(value, ()))

    def add(self, data: dict[str, Any], private: dict[str, Any] | None = None) -> Row:
        """Insert a row; the key is the next one and becomes the id.

        Raises:
            NumberTakenError: the number, cut to the width of its column, is taken.
        """
        key = len(self._rows) + self._removed + 1
        row = Row(key, {**data, "id": encode(key)}, private or {})
        self._claim_number(row, data.get("number"))
        self._rows[row.id] = row
        for column, index in self._indices.items():
            index.setdefault(data[column], {})[key] = row
        return row

    def change(self, row: Row, values: dict[str, Any]) -> None:
        """Change columns of a row.

        Raises:
            NumberTakenError: as in `add`.
        """
        if "number" in values and values["number"] != row["number"]:
            before = collated(row["number"])
            self._claim_number(row, values["number"])
            if collated(row["number"]) != before:
                self._numbers.pop(before, None)
            values = {**values, "number": row["number"]}
        for column, index in self._indices.items():
            if column in values and values[column] != row[column]:
                index[row[column]].pop(row.key, None)
                index.setdefault(values[column], {})[row.key] = row
        row.data.update(values)

    def remove(self, row: Row) -> None:
        """Drop a row for good: its number is free again, its key is not used again."""
        del self._rows[row.id]
        self._removed += 1
        number = collated(row.data.get("number") or "")
        if self._numbers.get(number) is row:
            del self._numbers[number]
        for column, index in self._indices.items():
            index[row[column]].pop(row.key, None)

    def _claim_number(self, row: Row, wanted: str | None) -> None:
        if not wanted:
            return
        stored = wanted[:NUMBER_LIMIT]
        owner = self._numbers.get(collated(stored))
        if owner is not None and owner is not row:
            raise NumberTakenError(stored)
        self._numbers[collated(stored)] = row
        row.data["number"] = stored
