"""How records are shown: the stored shape plus relations that come always or with `include=`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from middleware.lab.sandbox.invoiceninja.call import Call, refuse
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row

Relation = Callable[[NinjaState, Row], Any]
Shown = dict[str, Any]


def includes_of(call: Call) -> tuple[str, ...]:
    """Read `include=a,b.c`: the relations at the top."""
    asked = call.query.get("include", "")
    return tuple(dict.fromkeys(name.strip().split(".")[0] for name in asked.split(",") if name.strip()))


def shown(call: Call, entity: str, row: Row) -> dict[str, Any]:
    """Show one row of a request, with the relations it asks for.

    Raises:
        RefusedError: 400 for an unknown relation.
    """
    record = plain(call.state, entity, row)
    for name in includes_of(call):
        relation = RELATIONS.get(entity, {}).get(name)
        if relation is None:
            refuse(400, f"Relation `{name}` is not a valid include.")
        related = relation(call.state, row)
        if related is not None:
            record[name] = related
    return record


def one(call: Call, entity: str, row: Row) -> Shown:
    """Show one row in its envelope."""
    return {"data": shown(call, entity, row)}


def plain(state: NinjaState, entity: str, row: Row) -> dict[str, Any]:
    """Show one row without asked relations; a task brings its project."""
    record = dict(row.data)
    if entity == "tasks" and row["project_id"]:
        project = _referenced("projects", "project_id")(state, row)
        if project is not None:
            record["project"] = project
    return record


def _referenced(entity: str, column: str) -> Relation:
    def related(state: NinjaState, row: Row) -> Any:
        other = state.tables[entity].get(row[column])
        return None if other is None else plain(state, entity, other)

    return related


def _nothing(_: NinjaState, __: Row) -> Any:
    return None


def _empty(_: NinjaState, __: Row) -> Any:
    return []


def _stored(column: str) -> Relation:
    def related(_: NinjaState, row: Row) -> Any:
        return row[column]

    return related


def _live_group(state: NinjaState, client: Row) -> Any:
    group = state.tables["group_settings"].get(client["group_settings_id"])
    return None if group is None or group["archived_at"] else dict(group.data)


def _activities(column: str) -> Relation:
    def related(state: NinjaState, row: Row) -> Any:
        return [dict(activity.data) for activity in state.tables["activities"] if activity[column] == row.id]

    return related


def _tasks_of_project(state: NinjaState, project: Row) -> Any:
    tasks = state.tables["tasks"].having("project_id", project.id)
    return [plain(state, "tasks", task) for task in tasks if not task["is_deleted"]]


def _payments_of_invoice(state: NinjaState, invoice: Row) -> Any:
    payments = state.payments_of_invoice.get(invoice.id, [])
    linked = [payment for payment in payments if invoice["is_deleted"] or not payment["is_deleted"]]
    return [plain(state, "payments", payment) for payment in linked]


def _invoices_of_payment(state: NinjaState, payment: Row) -> Any:
    ids = dict.fromkeys(item["invoice_id"] for item in payment["paymentables"] if "invoice_id" in item)
    return [plain(state, "invoices", invoice) for invoice in _existing(state, "invoices", ids)]


def _existing(state: NinjaState, entity: str, ids: Iterable[str]) -> Iterable[Row]:
    rows = (state.tables[entity].get(row_id) for row_id in ids)
    return (row for row in rows if row is not None)


_client = _referenced("clients", "client_id")
_user = _referenced("users", "user_id")
_assigned_user = _referenced("users", "assigned_user_id")

RELATIONS: Mapping[str, Mapping[str, Relation]] = {
    "clients": {
        "contacts": _stored("contacts"),
        "documents": _stored("documents"),
        "gateway_tokens": _stored("gateway_tokens"),
        "activities": _activities("client_id"),
        "ledger": _empty,
        "group_settings": _live_group,
        "system_logs": _empty,
        "invoices": _nothing,
    },
    "projects": {"client": _client, "tasks": _tasks_of_project, "documents": _stored("documents")},
    "tasks": {
        "client": _client,
        "project": _referenced("projects", "project_id"),
        "status": _referenced("task_statuses", "status_id"),
        "user": _user,
        "assigned_user": _assigned_user,
        "invoice": _referenced("invoices", "invoice_id"),
        "documents": _stored("documents"),
    },
    "invoices": {
        "client": _client,
        "payments": _payments_of_invoice,
        "activities": _activities("invoice_id"),
        "invitations": _stored("invitations"),
        "documents": _stored("documents"),
    },
    "payments": {
        "client": _client,
        "invoices": _invoices_of_payment,
        "paymentables": _stored("paymentables"),
        "documents": _stored("documents"),
    },
    "credits": {"client": _client, "invitations": _stored("invitations"), "documents": _stored("documents")},
}
