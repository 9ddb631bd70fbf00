"""Notes on records and mails by POST /emails (facts section 8)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid, refuse
from middleware.lab.sandbox.invoiceninja.invoice_actions import send_mail
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import ACTIVITY
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import text

_NOTE = "141"


def add_note(call: Call) -> Any:
    """Answer POST /activities/notes: keep a note on an invoice, task, client, payment, ..."""
    entity, row = _named(call)
    if not call.data.get("notes"):
        invalid({"notes": ["The notes field is required."]})
    state = call.state
    client_id = row.id if entity == "clients" else row["client_id"]
    values = {**ACTIVITY, **records.born(state), "company_id": state.company["id"], "client_id": client_id}
    about = f"{entity[:-1]}_id"
    if about in ACTIVITY:
        values[about] = row.id
    values.update(activity_type_id=_NOTE, notes=text(call.data["notes"]))
    return {"data": dict(state.tables["activities"].add(values, {"about": (entity, row.id)}).data)}


def history(call: Call) -> Any:
    """Answer POST /activities/entity: the notes of a record, newest first (the real one lists more events)."""
    entity, row = _named(call)
    kept = [item for item in call.state.tables["activities"] if item.private["about"] == (entity, row.id)]
    return {"data": [_event(call, entity, row, item) for item in reversed(kept)]}


def email(call: Call) -> Any:
    """Answer POST /emails: send an invoice with a mail template."""
    errors = {}
    if not text(call.data.get("template")).startswith("email_template_"):
        errors["template"] = ["The template field is required."]
    for field in ("entity", "entity_id"):
        if not call.data.get(field):
            errors[field] = [f"The {field.replace('_', ' ')} field is required."]
    invalid(errors)
    entity, row = _named(call)
    if entity != "invoices":
        refuse(400, "The sandbox sends invoices only")
    send_mail(call.state, row)
    return one(call, entity, row)


def _named(call: Call) -> tuple[str, Row]:
    entity = text(call.data.get("entity")).rstrip("s") + "s"
    if entity not in ("clients", "projects", "tasks", "invoices", "payments", "credits"):
        invalid({"entity": ["The selected entity is invalid."]})
    return entity, call.row(entity, text(call.data.get("entity_id")))


def _event(call: Call, entity: str, row: Row, item: Row) -> dict[str, Any]:
    user = next(iter(call.state.tables["users"]))
    about = {"label": text(row.data.get("number")), "hashed_id": row.id}
    return {
        "user": {"label": f"{user['first_name']} {user['last_name']}", "hashed_id": user.id},
        entity[:-1]: about,
        "activity_type_id": int(item["activity_type_id"]),
        "id": str(item.key),
        "hashed_id": item.id,
        "notes": item["notes"],
        "created_at": item["created_at"],
        "ip": item["ip"],
    }
