"""Groups of clients: their settings hold for every client that has none of its own (facts 2, sections 1 and 2)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.values import text

_ENTITY = "App\\Models\\Client"
_DROPPED = frozenset({"task_round_up", "task_round_to_nearest", "enable_rappen_rounding"})
"""Keys that the API of 5.10.42 does not store at a group; what got there otherwise counts all the same."""


def create(call: Call) -> Any:
    """Answer POST /group_settings; the name must be free."""
    invalid(_name_errors(call))
    state = call.state
    stamps = {"created_at": state.now(), "updated_at": state.now(), "archived_at": 0, "is_deleted": False}
    values = {"id": "", "name": text(call.data.get("name")), "settings": _stored(call), **stamps, "documents": []}
    return one(call, "group_settings", state.tables["group_settings"].add(values))


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /group_settings/<id>: the given settings replace all others."""
    row = call.live_row("group_settings", row_id)
    values = {"name": text(call.data.get("name")) or row["name"], "settings": _stored(call)}
    records.change(call.state, "group_settings", row, values)
    return one(call, "group_settings", row)


def _stored(call: Call) -> dict[str, Any]:
    if "settings" not in call.data:
        return {"entity": _ENTITY, "industry_id": "", "size_id": ""}
    # Empty texts stay empty here, while a client's become null: they hide what the company says.
    given = {key: "" if value is None else value for key, value in call.data["settings"].items() if key not in _DROPPED}
    return given or {"entity": _ENTITY}


def _name_errors(call: Call) -> dict[str, list[str]]:
    is_taken = any(row["name"] == call.data.get("name") for row in call.state.tables["group_settings"])
    return {"name": ["The name has already been taken."]} if is_taken else {}
