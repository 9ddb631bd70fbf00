"""The filters that work, per entity; every other name is ignored and the whole list comes back (facts section 3)."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja.call import refuse
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import collated, decimal

Keep = Callable[[Row], bool]
Filter = Callable[[NinjaState, str], Keep | None]


def _equal(left: Decimal, right: Decimal) -> bool:
    return left == right


_COMPARISONS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "lt": lambda left, right: left < right,
    "lte": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "gte": lambda left, right: left >= right,
}

_EQUALITIES: Mapping[str, Mapping[str, str]] = {
    "clients": {"client_id": "id"},
    "projects": {"client_id": "client_id"},
    "tasks": {
        "client_id": "client_id",
        "project_tasks": "project_id",
        "assigned_user": "assigned_user_id",
        "user_id": "user_id",
        "task_status": "status_id",
    },
    "invoices": {"client_id": "client_id"},
    "payments": {"client_id": "client_id"},
    "credits": {"client_id": "client_id"},
}


def equality(entity: str, name: str, value: str) -> tuple[str, Any] | None:
    """Translate a filter that means "column = value" into that pair; None for all others."""
    if entity == "tasks" and (name, value) == ("client_status", "uninvoiced"):
        return ("invoice_id", "")
    if entity == "invoices" and name == "status_id" and "," not in value:
        return ("status_id", value)
    column = _EQUALITIES.get(entity, {}).get(name)
    return (column, value) if column and value else None


def _contains(column: str) -> Filter:
    return lambda _, value: lambda row: value.lower() in row[column].lower()


def _same_text(column: str) -> Filter:
    return lambda _, value: lambda row: collated(row[column]) == collated(value)


def _from_day(column: str) -> Filter:
    return lambda _, value: lambda row: row[column] >= value


def _client_email(_: NinjaState, value: str) -> Keep:
    return lambda row: any(collated(contact["email"]) == collated(value) for contact in row["contacts"])


def _client_balance(_: NinjaState, value: str) -> Keep:
    """`value:operator`; with the operands swapped it means "balance = 0" (facts section 3)."""
    amount, _colon, operator = value.partition(":")
    compare = _COMPARISONS.get(operator, _equal)
    return lambda row: compare(decimal(row["balance"]), decimal(amount))


def _client_between_balance(_: NinjaState, value: str) -> Keep:
    lowest, _colon, highest = value.partition(":")
    return lambda row: decimal(lowest) <= decimal(row["balance"]) <= decimal(highest)


def _task_client_status(_: NinjaState, value: str) -> Keep | None:
    if value == "invoiced":
        return lambda row: bool(row["invoice_id"])
    return (lambda row: bool(row["is_running"])) if value == "is_running" else None


def _task_hash(_: NinjaState, value: str) -> Keep:
    return lambda row: collated(row.private["hash"]) == collated(value)


def _of_live_client(state: NinjaState, value: str) -> Keep | None:
    def keep(row: Row) -> bool:
        client = state.tables["clients"].get(row["client_id"])
        return client is not None and not client["is_deleted"] and not client["archived_at"]

    return keep if value == "true" else None


def _of_no_client_that_is_gone(state: NinjaState, value: str) -> Keep | None:
    """A task without a client is shown, too."""
    of_live_client = _of_live_client(state, value)
    return of_live_client and (lambda row: not row["client_id"] or of_live_client(row))


def _invoice_client_status(state: NinjaState, value: str) -> Keep | None:
    """Several statuses may be named; an unknown one alone filters nothing."""
    today = state.company_today()
    known: dict[str, Keep] = {
        "draft": lambda row: row["status_id"] == "1",
        "paid": lambda row: row["status_id"] == "4",
        "unpaid": lambda row: row["status_id"] in ("2", "3"),
        "cancelled": lambda row: row["status_id"] == "5",
        "overdue": lambda row: row["status_id"] in ("2", "3") and "" < row["due_date"] < today,
    }
    wanted = [known[part] for part in value.split(",") if part in known]
    return (lambda row: any(keep(row) for keep in wanted)) if wanted else None


def _open(row: Row) -> bool:
    return row["status_id"] in ("2", "3") and row["balance"] > 0 and not row["is_deleted"]


def _invoice_payable(_: NinjaState, value: str) -> Keep:
    return lambda row: row["client_id"] == value and _open(row)


def _invoice_upcoming(state: NinjaState, _: str) -> Keep:
    today = state.company_today()
    return lambda row: _open(row) and (not row["due_date"] or row["due_date"] >= today)


def _invoice_overdue(state: NinjaState, _: str) -> Keep:
    today = state.company_today()
    return lambda row: _open(row) and "" < row["due_date"] < today


def _status_ids(_: NinjaState, value: str) -> Keep:
    wanted = value.split(",")
    return lambda row: row["status_id"] in wanted


def _day_range(column: str, parts: int) -> Filter:
    """Invoices take `a,b`; payments want three parts, `date,a,b`; another count is ignored."""

    def between(_: NinjaState, value: str) -> Keep | None:
        given = value.split(",")
        if len(given) != parts:
            return None
        first, last = given[-2:]
        return lambda row: first <= row[column] <= last

    return between


def _payment_client_status(_: NinjaState, value: str) -> Keep | None:
    statuses = {"pending": "1", "cancelled": "2", "failed": "3", "completed": "4", "partially_refunded": "5"}
    statuses["refunded"] = "6"
    parts = value.split(",")
    wanted = [statuses[part] for part in parts if part in statuses]
    unapplied = "partially_unapplied" in parts
    if not wanted and not unapplied:
        return None
    return lambda row: row["status_id"] in wanted or (unapplied and row["amount"] > row["applied"])


def _unmatched(_: NinjaState, value: str) -> Keep | None:
    return (lambda row: not row["is_deleted"]) if value == "true" else None


def _fails(_: NinjaState, value: str) -> Keep | None:
    if value == "true":
        refuse(500, "Server Error")
    return None


FILTERS: Mapping[str, Mapping[str, Filter]] = {
    "clients": {
        "id_number": _same_text("id_number"),
        "name": _contains("name"),
        "email": _client_email,
        "balance": _client_balance,
        "between_balance": _client_between_balance,
        "filter_deleted_clients": _fails,
        "without_deleted_clients": _fails,
    },
    "tasks": {
        "hash": _task_hash,
        "client_status": _task_client_status,
        "filter_deleted_clients": _of_live_client,
        "without_deleted_clients": _of_no_client_that_is_gone,
    },
    "invoices": {
        "client_status": _invoice_client_status,
        "status_id": _status_ids,
        "payable": _invoice_payable,
        "upcoming": _invoice_upcoming,
        "overdue": _invoice_overdue,
        "private_notes": _contains("private_notes"),
        "date": _from_day("date"),
        "due_date": _from_day("due_date"),
        "date_range": _day_range("date", 2),
        "due_date_range": _day_range("due_date", 2),
        "without_deleted_clients": _of_live_client,
    },
    "payments": {
        "client_status": _payment_client_status,
        "match_transactions": _unmatched,
        "date_range": _day_range("date", 3),
    },
}

Texts = Callable[[NinjaState, Row], Iterable[str]]


def _columns(row: Row, *names: str) -> list[str]:
    return [str(row[name]) for name in names]


_CUSTOM = ("custom_value1", "custom_value2", "custom_value3", "custom_value4")


def _client_texts(state: NinjaState, row: Row) -> list[str]:
    client = row if "contacts" in row.data else state.tables["clients"].get(row["client_id"])
    if client is None:
        return []
    contacts = [contact[key] for contact in client["contacts"] for key in ("first_name", "last_name", "email", "phone")]
    return [client["name"], *contacts]


def _task_texts(state: NinjaState, row: Row) -> list[str]:
    project = state.tables["projects"].get(row["project_id"])
    names = [] if project is None else [project["name"]]
    return [*_columns(row, "description", "time_log", *_CUSTOM), *names, *_client_texts(state, row)]


def _invoice_texts(state: NinjaState, row: Row) -> list[str]:
    lines = [str(line[key]) for line in row["line_items"] for key in ("notes", "product_key")]
    own = _columns(row, "number", "po_number", "date", "amount", "balance", *_CUSTOM)
    return [*own, *lines, *_client_texts(state, row)]


def _payment_texts(state: NinjaState, row: Row) -> list[str]:
    own = _columns(row, "amount", "date", "number", "transaction_reference", *_CUSTOM)
    return [*own, *_client_texts(state, row)]


SEARCHED: Mapping[str, Texts] = {
    "clients": lambda state, row: [*_columns(row, "id_number", "number", *_CUSTOM), *_client_texts(state, row)],
    "projects": lambda state, row: [*_columns(row, "name", "public_notes", "private_notes"), *_client_name(state, row)],
    "tasks": _task_texts,
    "invoices": _invoice_texts,
    "payments": _payment_texts,
}


def _client_name(state: NinjaState, row: Row) -> list[str]:
    client = state.tables["clients"].get(row["client_id"])
    return [] if client is None else [client["name"]]
