"""GET lists: filters that work and the many that are ignored, sorting, pages (facts sections 2 and 3)."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from middleware.lab.sandbox.invoiceninja.call import Call, refuse
from middleware.lab.sandbox.invoiceninja.filters import FILTERS, SEARCHED, Keep, equality
from middleware.lab.sandbox.invoiceninja.render import shown
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import moment

DEFAULT_PAGE_SIZE = 20
FALLBACK_PAGE_SIZE = 15
LARGEST_PAGE_SIZE = 5000

_SORT_FAILS = frozenset({"clients", "tasks", "projects"})
"""Where sorting by an unknown column is a 500; elsewhere it is ignored."""


def list_rows(call: Call, entity: str) -> Any:
    """Answer GET /<entity>."""
    return paged(call, entity, matching(call, entity))


def paged(call: Call, entity: str, rows: Sequence[Row]) -> Any:
    """Show one page of the rows in the usual envelope, or bare with `index=none`."""
    size = _page_size(call.query.get("per_page"))
    page = max(1, _integer(call.query.get("page")) or 1)
    records = [shown(call, entity, row) for row in rows[(page - 1) * size : page * size]]
    if call.query.get("index") == "none":
        return records
    last = max(1, -(-len(rows) // size))
    links = {}
    if page > 1:
        links["previous"] = f"{call.base}/{'/'.join(call.segments)}?page={page - 1}"
    if page < last:
        links["next"] = f"{call.base}/{'/'.join(call.segments)}?page={page + 1}"
    pagination = {
        "total": len(rows),
        "count": len(records),
        "per_page": size,
        "current_page": page,
        "total_pages": last,
        "links": links,
    }
    return {"data": records, "meta": {"pagination": pagination}}


def matching(call: Call, entity: str) -> Sequence[Row]:
    """Give all rows that the query wants, sorted; in the order of their keys unless asked otherwise."""
    rows = _candidates(call, entity)
    for keep in _keepers(call, entity):
        rows = [row for row in rows if keep(row)]
    return _sorted(call, entity, rows)


def _candidates(call: Call, entity: str) -> list[Row]:
    """Start from the smallest index that a filter names, so that 50,000 tasks stay quick."""
    table = call.state.tables[entity]
    if call.query.get("number"):
        found = table.numbered(call.query["number"])
        return [] if found is None else [found]
    equal = [pair for name in call.query if (pair := equality(entity, name, call.query[name]))]
    indexed = [pair for pair in equal if table.is_indexed(pair[0])]
    rows = table.having(*min(indexed, key=lambda pair: table.count(*pair))) if indexed else list(table)
    for column, value in equal:
        if len(indexed) != 1 or (column, value) != indexed[0]:
            rows = [row for row in rows if row[column] == value]
    return rows


def _keepers(call: Call, entity: str) -> Iterable[Keep]:
    for name, value in call.query.items():
        keep = _common(name, value) or _search(call, entity, name, value)
        own = FILTERS.get(entity, {}).get(name)
        if own is not None and keep is None:
            keep = own(call.state, value)
        if keep is not None:
            yield keep


def _common(name: str, value: str) -> Keep | None:
    if name == "status":
        wanted = {part.strip() for part in value.split(",")}
        return (lambda row: _life(row) in wanted) if wanted & {"active", "archived", "deleted"} else None
    if name == "is_deleted":
        # The database compares the column with the text: anything but "1" means 0, also "true".
        return lambda row: row["is_deleted"] == (value == "1")
    if name == "with_trashed" and value == "false":
        return lambda row: row["archived_at"] == 0
    if name in ("updated_at", "created_at"):
        since = moment(value)
        return None if since is None else lambda row: row[name] >= since
    return None


def _life(row: Row) -> str:
    if row["is_deleted"]:
        return "deleted"
    return "archived" if row["archived_at"] else "active"


def _search(call: Call, entity: str, name: str, value: str) -> Keep | None:
    if name != "filter" or not value or entity not in SEARCHED:
        return None
    texts, wanted = SEARCHED[entity], value.lower()
    return lambda row: any(wanted in text.lower() for text in texts(call.state, row))


def _sorted(call: Call, entity: str, rows: list[Row]) -> list[Row]:
    column, _, direction = call.query.get("sort", "").partition("|")
    backwards = direction == "desc"
    if column in ("", "id"):
        return rows[::-1] if column and backwards else rows
    if rows and column not in rows[0].data:
        if entity in _SORT_FAILS:
            refuse(500, "Server Error")
        return rows
    return sorted(rows, key=_sort_key(column), reverse=backwards)


def _sort_key(column: str) -> Callable[[Row], Any]:
    if column == "number":
        return lambda row: int(re.sub(r"\D", "", row["number"]) or 0)
    return lambda row: row[column].lower() if isinstance(row[column], str) else row[column]


def _page_size(asked: str | None) -> int:
    if asked is None:
        return DEFAULT_PAGE_SIZE
    size = _integer(asked)
    if not size:
        return FALLBACK_PAGE_SIZE
    return min(max(1, size), LARGEST_PAGE_SIZE)


def _integer(value: str | None) -> int | None:
    return int(value) if value is not None and re.fullmatch(r"-?\d+", value) else None
