"""What all kinds of records share: stamps, archive, restore, delete, and the bulk actions."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from middleware.lab.sandbox.invoiceninja.call import Call, invalid
from middleware.lab.sandbox.invoiceninja.listing import paged
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import text

Act = Callable[[NinjaState, str, Row], None]


def born(state: NinjaState) -> dict[str, Any]:
    """Give the columns of a record that begins now: owner and stamps."""
    return {"user_id": owner_id(state), "created_at": state.now(), "updated_at": state.now()}


def owner_id(state: NinjaState) -> str:
    """Give the id of the token's user, who owns whatever is created."""
    return next(iter(state.tables["users"])).id


def created(call: Call, entity: str, row: Row) -> Any:
    """Show a new row; its number appears as sent, even if the column cut it (facts section 4)."""
    answer = one(call, entity, row)
    if call.data.get("number") is not None:
        answer["data"]["number"] = text(call.data["number"])
    return answer


def change(state: NinjaState, entity: str, row: Row, values: dict[str, Any]) -> None:
    """Change columns and stamp the change."""
    state.tables[entity].change(row, {**values, "updated_at": state.now()})


def texts(call: Call, columns: Iterable[str]) -> dict[str, str]:
    """Take the given text columns from the body, cast to strings."""
    return {column: text(call.data[column]) for column in columns if column in call.data}


def archive(state: NinjaState, entity: str, row: Row) -> None:
    """Archive a row; an archived or deleted one stays as it is."""
    if not row["archived_at"]:
        state.tables[entity].change(row, {"archived_at": state.now()})


def restore(state: NinjaState, entity: str, row: Row) -> None:
    """Bring an archived or deleted row back."""
    change(state, entity, row, {"archived_at": 0, "is_deleted": False})


def delete(state: NinjaState, entity: str, row: Row) -> None:
    """Delete softly; deleting again changes nothing."""
    if not row["is_deleted"]:
        change(state, entity, row, {"archived_at": row["archived_at"] or state.now(), "is_deleted": True})


BASIC_ACTIONS: Mapping[str, Act] = {"archive": archive, "restore": restore, "delete": delete}


def delete_one(call: Call, entity: str, row_id: str) -> Any:
    """Answer DELETE /<entity>/<id> with the deleted row."""
    row = call.row(entity, row_id)
    delete(call.state, entity, row)
    return one(call, entity, row)


def show_one(call: Call, entity: str, row_id: str) -> Any:
    """Answer GET /<entity>/<id>; deleted rows are shown as well."""
    return one(call, entity, call.row(entity, row_id))


def rows_named(call: Call, entity: str) -> list[Row]:
    """Give the existing rows of the body's `ids`."""
    ids = call.data.get("ids")
    table = call.state.tables[entity]
    rows = (table.get(row_id) for row_id in ids) if isinstance(ids, list) else ()
    return [row for row in rows if row is not None]


def strict_bulk(call: Call, entity: str, actions: Mapping[str, Act] = BASIC_ACTIONS) -> Any:
    """Answer POST /<entity>/bulk where unknown actions and ids are a 422 (clients and most others)."""
    rows = rows_named(call, entity)
    errors = {}
    if call.data.get("action") not in actions:
        errors["action"] = ["The selected action is invalid."]
    if not rows or len(rows) != len(call.data.get("ids") or ()):
        errors["ids"] = ["The selected ids is invalid."]
    invalid(errors)
    for row in rows:
        actions[call.data["action"]](call.state, entity, row)
    return paged(call, entity, rows)
