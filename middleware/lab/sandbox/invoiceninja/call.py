"""What a handler gets (`Call`) and how it refuses (`Refused`): the error shapes of facts section 1."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import is_true

TAKEN = "The number has already been taken."
DELETED = "Record is deleted and cannot be edited. Restore the record to enable editing"


class RefusedError(Exception):
    """The server says no: a status and a JSON body."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Call:
    """A request, decoded: `query` as strings, `data` the trimmed JSON or form body, `base` scheme and host."""

    state: NinjaState
    method: str
    segments: tuple[str, ...]
    query: Mapping[str, str]
    data: Mapping[str, Any]
    headers: Mapping[str, str]
    base: str
    ip: str

    def given(self, name: str) -> Any:
        """Give a value of the body, else of the query, else None."""
        return self.data[name] if name in self.data else self.query.get(name)

    def flag(self, name: str) -> bool:
        """Tell whether a trigger flag is set in body or query."""
        return is_true(self.given(name))

    def row(self, entity: str, row_id: str) -> Row:
        """Find the row that the path names.

        Raises:
            RefusedError: 400 when there is none.
        """
        row = self.state.tables[entity].get(row_id)
        if row is None:
            model = self.state.tables[entity].model
            known = f"No query results for model [App\\Models\\{model}]."
            refuse(400, f"Record with value {row_id} not found" if row_id.isdigit() else known)
        return row

    def live_row(self, entity: str, row_id: str) -> Row:
        """Find a row to change.

        Raises:
            RefusedError: 400 when there is none or it is deleted.
        """
        row = self.row(entity, row_id)
        if row["is_deleted"]:
            refuse(400, DELETED)
        return row


def refuse(status: int, message: str) -> NoReturn:
    """Raise the usual error with one message."""
    raise RefusedError(status, {"message": message})


def invalid(errors: Mapping[str, list[str]]) -> None:
    """Raise the 422 of a failed validation, unless there are no errors."""
    if errors:
        raise RefusedError(422, {"message": "The given data was invalid.", "errors": dict(errors)})


def number_errors(call: Call, entity: str, own: Row | None = None) -> dict[str, list[str]]:
    """Validate that the given number is free (compared whole, as sent, against what is stored)."""
    wanted = call.data.get("number")
    if wanted is None:
        return {}
    owner = call.state.tables[entity].numbered(str(wanted))
    return {"number": [TAKEN]} if owner is not None and owner is not own else {}


def client_errors(call: Call, *, required: bool, deleted_is_fine: bool = False) -> dict[str, list[str]]:
    """Validate `client_id`: a client that exists and is not deleted (for projects a deleted one is fine)."""
    wanted = call.data.get("client_id")
    if wanted is None:
        return {"client_id": ["The client id field is required."]} if required else {}
    client = call.state.tables["clients"].get(wanted)
    if client is None or (client["is_deleted"] and not deleted_is_fine):
        return {"client_id": ["The selected client id is invalid."]}
    return {}
