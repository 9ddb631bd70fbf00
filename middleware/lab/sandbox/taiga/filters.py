"""List filters and ordering of tasks, stories and issues (docs/facts/taiga.md section 7).

Unknown filters and orders are ignored silently, as on the real server; a date that is none crashes it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import ge, gt, le, lt
from typing import Any

from middleware.lab.sandbox.taiga import errors, model
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import parse_moment

Test = Callable[[model.Item], bool]

_COMPARISONS: dict[str, Callable[[datetime, datetime], bool]] = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
_DATES = ("created_date", "modified_date", "finished_date")
_SPECIAL: dict[str, Any] = {"null": None}
_TRUE, _FALSE = ("true", "True", "1", "t"), ("false", "False", "0", "f")


def visible(state: TaigaState, viewer: model.User | None, items: Iterable[model.Item]) -> list[model.Item]:
    """The items of projects in which the viewer may see this kind."""
    allowed: dict[int, bool] = {}
    shown = []
    for item in items:
        project = item.project
        if project.id not in allowed:
            wanted = "view_issues" if item.kind == "issue" else f"view_{item.permission}".replace("task", "tasks")
            allowed[project.id] = wanted in state.permissions(viewer, project)
        if allowed[project.id]:
            shown.append(item)
    return shown


def choose(items: Iterable[model.Item], query: Mapping[str, str]) -> list[model.Item]:
    """The items that pass all known filters of a query, in the wanted order.

    Raises:
        ApiError: 400 for an id that is no number, 500 for a date that is none.
    """
    tests = [test for name, value in query.items() if (test := _test(name, value)) is not None]
    return _ordered([item for item in items if all(test(item) for test in tests)], query.get("order_by", ""))


def _test(name: str, value: str) -> Test | None:
    field, _, comparison = name.rpartition("__")
    if field in _DATES and comparison in _COMPARISONS:
        return _date_test(field, comparison, value)
    if name in _SIMPLE:
        return _SIMPLE[name](value)
    return None


def _date_test(field: str, comparison: str, value: str) -> Test:
    compare = _COMPARISONS[comparison]
    try:
        limit = parse_moment(value)
    except ValueError:
        raise errors.crashed() from None

    def passes(item: model.Item) -> bool:
        moment: datetime | None = getattr(item, field)
        return moment is not None and compare(moment, limit)

    return passes


def _ids(value: str) -> set[int | None]:
    try:
        return {None if part in _SPECIAL else int(part) for part in value.split(",")}
    except ValueError:
        raise errors.bad_request("Error in filter params types.") from None


def _related(field: str) -> Callable[[str], Test]:
    def make(value: str) -> Test:
        wanted = _ids(value)

        def passes(item: model.Item) -> bool:
            row = getattr(item, field, None)
            return (None if row is None else row.id) in wanted

        return passes

    return make


def _without(make: Callable[[str], Test]) -> Callable[[str], Test]:
    def made(value: str) -> Test:
        test = make(value)
        return lambda item: not test(item)

    return made


def _closed(value: str) -> Test:
    if value not in _TRUE + _FALSE:
        raise errors.crashed()
    wanted = value in _TRUE
    return lambda item: item.status.is_closed is wanted


def _tagged(value: str) -> Test:
    wanted = {tag.strip().lower() for tag in value.split(",")}
    return lambda item: bool(wanted.intersection(item.tags))


def _watched(value: str) -> Test:
    wanted = _ids(value)
    return lambda item: bool(wanted & item.watchers)


def _searched(value: str) -> Test:
    words = value.lower().split()

    def passes(item: model.Item) -> bool:
        text = f"{item.ref} {item.subject} {item.description} {' '.join(item.tags)}".lower()
        return all(word in text for word in words)

    return passes


_SIMPLE: dict[str, Callable[[str], Test]] = {
    "project": _related("project"),
    "project__slug": lambda value: lambda item: item.project.slug == value,
    "user_story": _related("user_story"),
    "milestone": _related("milestone"),
    "status": _related("status"),
    "exclude_status": _without(_related("status")),
    "status__is_closed": _closed,
    "assigned_to": _related("assigned_to"),
    "owner": _related("owner"),
    "tags": _tagged,
    "watchers": _watched,
    "q": _searched,
}

_ORDERS: dict[str, Callable[[model.Item], Any]] = {
    "project": lambda item: item.project.id,
    "milestone": lambda item: item.milestone.id if item.milestone else 0,
    "status": lambda item: item.status.id,
    "created_date": lambda item: item.created_date,
    "modified_date": lambda item: item.modified_date,
    "assigned_to": lambda item: item.assigned_to.id if item.assigned_to else 0,
    "us_order": lambda item: getattr(item, "us_order", 0),
    "subject": lambda item: item.subject,
}


def _ordered(items: list[model.Item], order: str) -> list[model.Item]:
    items.sort(key=lambda item: (item.project.id, item.created_date, item.ref))
    key = _ORDERS.get(order.removeprefix("-"))
    return items if key is None else sorted(items, key=key, reverse=order.startswith("-"))
