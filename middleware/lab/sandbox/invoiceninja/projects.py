"""Projects (facts section 5)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, client_errors, invalid, number_errors
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import CUSTOM_FIELDS, PROJECT
from middleware.lab.sandbox.invoiceninja.values import decimal, number, text

_TEXTS = ("name", "due_date", "private_notes", "public_notes", "color", "assigned_user_id", *CUSTOM_FIELDS)
_AMOUNTS = ("task_rate", "budgeted_hours")


def create(call: Call) -> Any:
    """Answer POST /projects; name and client are required."""
    errors = {**client_errors(call, required=True, deleted_is_fine=True), **number_errors(call, "projects")}
    if not call.data.get("name"):
        errors["name"] = ["The name field is required."]
    invalid(errors)
    state = call.state
    values = {**PROJECT, **records.born(state), **_given(call), "client_id": call.data["client_id"]}
    values["number"] = text(call.data.get("number")) or state.next_number("project")
    return records.created(call, "projects", state.tables["projects"].add(values))


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /projects/<id>; the client stays."""
    row = call.live_row("projects", row_id)
    invalid(number_errors(call, "projects", row))
    values = _given(call)
    if call.data.get("number") is not None:
        values["number"] = text(call.data["number"])
    records.change(call.state, "projects", row, values)
    return one(call, "projects", row)


def _given(call: Call) -> dict[str, Any]:
    amounts = {column: number(decimal(call.data[column])) for column in _AMOUNTS if column in call.data}
    return {**records.texts(call, _TEXTS), **amounts}
