"""One kind of objects: by id, by the fields lists are filtered by, and newest first by pages."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from middleware.lab.sandbox.stripe.shapes import Json


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first, and whether there is more in the direction of reading."""

    items: list[Json]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What a list is asked for. `indexed` are exact values of indexed fields, `matches` any further condition."""

    limit: int = 10
    starting_after: str | None = None
    ending_before: str | None = None
    indexed: dict[str, str] = field(default_factory=dict)
    matches: Callable[[Json], bool] = lambda _: True


class Table:
    """Objects in the order in which they were made; `indexes` are the fields that are looked up by value."""

    def __init__(self, *indexes: str) -> None:
        self._items: dict[str, Json] = {}
        self._order: list[str] = []
        self._positions: dict[str, int] = {}
        self._indexes: dict[str, dict[str, list[int]]] = {name: {} for name in indexes}

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Json]:
        return iter(self._items.values())

    def get(self, key: str | None) -> Json | None:
        """The object with this id."""
        return self._items.get(key or "")

    def save(self, item: Json) -> Json:
        """Insert or replace the object by its id."""
        key = item["id"]
        if key not in self._positions:
            self._positions[key] = len(self._order)
            self._order.append(key)
        self._items[key] = item
        for name, index in self._indexes.items():
            value = item.get(name)
            if isinstance(value, str):
                _insert(index.setdefault(value, []), self._positions[key])
        return item

    def remove(self, key: str) -> None:
        """Forget an object; its place in the order stays empty."""
        self._items.pop(key, None)

    def having(self, name: str, value: str) -> list[Json]:
        """All objects with this value in an indexed field, oldest first."""
        positions = self._indexes[name].get(value, [])
        found = (self._items.get(self._order[position]) for position in positions)
        return [item for item in found if item is not None and item.get(name) == value]

    def page(self, query: Query) -> Page:
        """One page; cursors must be ids of this table."""
        forward = query.ending_before is not None
        found: list[Json] = []
        for item in self._walk(query):
            if query.matches(item):
                found.append(item)
                if len(found) > query.limit:
                    break
        items = found[: query.limit]
        return Page(items[::-1] if forward else items, len(found) > query.limit)

    def _walk(self, query: Query) -> Iterator[Json]:
        """Candidates from the cursor on: to older ones, or to newer ones with `ending_before`."""
        positions = self._candidates(query.indexed)
        if query.ending_before is not None:
            start = bisect_left(positions, self._positions[query.ending_before] + 1)
            chosen: Iterable[int] = (positions[at] for at in range(start, len(positions)))
        else:
            end = len(positions)
            if query.starting_after is not None:
                end = bisect_left(positions, self._positions[query.starting_after])
            chosen = (positions[at] for at in range(end - 1, -1, -1))
        for position in chosen:
            item = self._items.get(self._order[position])
            if item is not None and all(item.get(name) == value for name, value in query.indexed.items()):
                yield item

    def _candidates(self, indexed: dict[str, str]) -> "list[int] | range":
        for name, value in indexed.items():
            return self._indexes[name].get(value, [])
        return range(len(self._order))


def _insert(positions: list[int], position: int) -> None:
    at = bisect_left(positions, position)
    if at == len(positions) or positions[at] != position:
        positions.insert(at, position)
