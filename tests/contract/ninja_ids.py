"""Translate the ids of recorded Invoice Ninja exchanges to those of the server under test.

Row 1 of every table has the same id, so ids are remembered per table. On a fresh sandbox the translation changes
nothing. On a server that already holds rows, the numbers that a story sends get a prefix (they are unique for good),
and the numbers that the server draws are remembered like ids.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.contract.replay import Exchange

_TABLES = (
    "clients|projects|tasks|invoices|payments|credits|webhooks|users|task_statuses|payment_terms|companies|contacts"
    "|group_settings"
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
    "client_contact_id": "contacts",
    "project_tasks": "projects",
    "assigned_user": "users",
    "task_status": "task_statuses",
    "group_settings_id": "group_settings",
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
    "paymentables": "paymentables",
}


_NUMBERS = frozenset({"number", "id_number", "idempotency_key"})


class IdMap:
    """What the ids and numbers of the recording are on this server, by table."""

    def __init__(self, prefix: str = "") -> None:
        self._prefix = prefix
        self._known: dict[tuple[str, str], str] = {}
        self._numbers: dict[tuple[str, str], str] = {}

    def outgoing(self, exchange: Exchange) -> Exchange:
        """Give the exchange with this server's ids in path, body and expected answer."""
        table = table_of(exchange.path)
        path = re.sub(rf"/({_TABLES})/([A-Za-z0-9]{{10}})(?=$|[/?])", self._path_id, exchange.path)
        path = re.sub(r"/(clients)/([^/]{10})/([A-Za-z0-9]{10})/merge$", self._merged_ids, path)
        path = self._form(path)
        path = re.sub(r"([?&])(number|id_number)=([^&]*)", self._query_number, path)
        body = self._translated(self._numbered(exchange.body, table), table)
        body = self._form(body) if isinstance(body, str) else body
        return replace(exchange, path=path, body=body, response=self._translated(exchange.response, table))

    def learn(self, exchange: Exchange, actual: Any) -> None:
        """Remember the ids of an answer to a recorded exchange (with its ids as recorded)."""
        if isinstance(exchange.response, Mapping) and isinstance(actual, Mapping):
            self._pair(exchange.response.get("data"), actual.get("data"), table_of(exchange.path))

    def _pair(self, recorded: Any, actual: Any, table: str) -> None:
        if isinstance(recorded, Mapping) and isinstance(actual, Mapping):
            if _is_id(recorded.get("id")) and _is_id(actual.get("id")):
                self._known.setdefault((table, recorded["id"]), actual["id"])
            if self._prefix and isinstance(recorded.get("number"), str) and "number" in actual:
                self._numbers.setdefault((table, recorded["number"]), actual["number"])
            for key, value in recorded.items():
                if key in _COLUMNS and _is_id(value) and _is_id(actual.get(key)):
                    self._known.setdefault((_COLUMNS[key], value), actual[key])
                if key in actual:
                    self._pair(value, actual[key], _nested(key, table))
        elif isinstance(recorded, list) and isinstance(actual, list):
            for one, other in zip(recorded, actual, strict=False):
                self._pair(one, other, table)

    def _translated(self, value: Any, table: str, key: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: self._translated(item, _nested(key, table), name) for name, item in value.items()}
        if isinstance(value, list):
            return [self._translated(item, table, key) for item in value]
        if key in _NUMBERS:
            return self._numbers.get((table, str(value)), value)
        if isinstance(value, str) and " " in value:
            return re.sub(
                r"\b[A-Za-z0-9]{10}\b", lambda found: self._known.get(("invoices", found[0]), found[0]), value
            )
        if not _is_id(value):
            return value
        owner = _nested(key, table) if key in ("id", "ids") else _COLUMNS.get(key, "")
        return self._known.get((owner, value), value)

    def _numbered(self, body: Any, table: str) -> Any:
        """Prefix the numbers of a body; leading spaces stay in front."""
        if not self._prefix or not isinstance(body, Mapping):
            return body
        changed = {key: self._prefixed(str(body[key])) for key in _NUMBERS & body.keys() if body[key]}
        self._numbers.update({(table, str(body[key])): number for key, number in changed.items()})
        return {**body, **changed}

    def _form(self, text: str) -> str:
        """Translate the ids in a query or form."""
        return re.sub(r"(^|[?&])(\w+)=([A-Za-z0-9]{10})(?=$|&)", self._query_id, text)

    def _prefixed(self, number: str) -> str:
        bare = number.lstrip()
        return number[: len(number) - len(bare)] + self._prefix + bare

    def _query_number(self, match: re.Match[str]) -> str:
        known = [actual for (_, recorded), actual in self._numbers.items() if quote(recorded, safe="") == match[3]]
        return f"{match[1]}{match[2]}={quote(known[-1], safe='') if known else self._prefix + match[3]}"

    def _merged_ids(self, match: re.Match[str]) -> str:
        """Of the two clients of a merge, the first is translated already."""
        return f"/clients/{match[2]}/{self._known.get(('clients', match[3]), match[3])}/merge"

    def _path_id(self, match: re.Match[str]) -> str:
        return f"/{match[1]}/{self._known.get((match[1], match[2]), match[2])}"

    def _query_id(self, match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}={self._known.get((_COLUMNS.get(match[2], ''), match[3]), match[3])}"


def table_of(path: str) -> str:
    """Name the table that a path is about."""
    parts = path.partition("?")[0].split("/")
    return parts[3] if len(parts) > 3 else ""


def _nested(key: str, table: str) -> str:
    """Name the table of what stands under a key; invoices and credits have invitations of their own."""
    return f"{table} invitations" if key == "invitations" else _NESTED.get(key, table)


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
