"""Translate the ids of recorded Invoice Ninja exchanges to those of the server under test.

Row 1 of every table has the same id, so ids are remembered per table. On the sandbox the translation changes nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.contract.replay import Exchange

_TABLES = (
    "clients|projects|tasks|invoices|payments|credits|webhooks|users|task_statuses|payment_terms|companies|contacts"
)
_ID = re.compile(r"[A-Za-z0-9]{10}")
_COLUMNS = {
    "client_id": "clients",
    "project_id": "projects",
    "invoice_id": "invoices",
    "task_id": "tasks",
    "credit_id": "credits",
    "user_id": "users",
    "assigned_user_id": "users",
    "status_id": "task_statuses",
    "company_id": "companies",
    "entity_id": "invoices",
    "project_tasks": "projects",
    "assigned_user": "users",
    "task_status": "task_statuses",
    "payable": "clients",
}
_NESTED = {
    "client": "clients",
    "project": "projects",
    "invoice": "invoices",
    "contacts": "contacts",
    "payments": "payments",
    "invoices": "invoices",
    "tasks": "tasks",
    "status": "task_statuses",
    "user": "users",
}


class IdMap:
    """What the ids of the recording are on this server, by table."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}

    def outgoing(self, exchange: Exchange) -> Exchange:
        """Give the exchange with this server's ids in path, body and expected answer."""
        table = table_of(exchange.path)
        path = re.sub(rf"/({_TABLES})/([A-Za-z0-9]{{10}})(?=$|[/?])", self._path_id, exchange.path)
        path = re.sub(r"([?&])(\w+)=([A-Za-z0-9]{10})(?=$|&)", self._query_id, path)
        return replace(
            exchange,
            path=path,
            body=self._translated(exchange.body, table),
            response=self._translated(exchange.response, table),
        )

    def learn(self, exchange: Exchange, actual: Any) -> None:
        """Remember the ids of an answer to a recorded exchange (with its ids as recorded)."""
        if isinstance(exchange.response, Mapping) and isinstance(actual, Mapping):
            self._pair(exchange.response.get("data"), actual.get("data"), table_of(exchange.path))

    def _pair(self, recorded: Any, actual: Any, table: str) -> None:
        if isinstance(recorded, Mapping) and isinstance(actual, Mapping):
            if _is_id(recorded.get("id")) and _is_id(actual.get("id")):
                self._known.setdefault((table, recorded["id"]), actual["id"])
            for key, value in recorded.items():
                if key in _NESTED and key in actual:
                    self._pair(value, actual[key], _NESTED[key])
        elif isinstance(recorded, list) and isinstance(actual, list):
            for one, other in zip(recorded, actual, strict=False):
                self._pair(one, other, table)

    def _translated(self, value: Any, table: str, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: self._translated(item, _NESTED.get(key, table), name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._translated(item, table, key) for item in value]
        if not _is_id(value):
            return value
        owner = _NESTED.get(key, table) if key in ("id", "ids") else _COLUMNS.get(key, "")
        return self._known.get((owner, value), value)

    def _path_id(self, match: re.Match[str]) -> str:
        return f"/{match[1]}/{self._known.get((match[1], match[2]), match[2])}"

    def _query_id(self, match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}={self._known.get((_COLUMNS.get(match[2], ''), match[3]), match[3])}"


def table_of(path: str) -> str:
    """Name the table that a path is about."""
    parts = path.partition("?")[0].split("/")
    return parts[3] if len(parts) > 3 else ""


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
