"""Clients merged into another one, or purged with all that is theirs (facts 2 sections 5, E12)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import records
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError, refuse
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row

OWNED = ("projects", "tasks", "invoices", "payments", "credits")
PASSWORD = "sandbox-password"  # noqa: S105 - the made-up password of the sandbox's owner
_SUMS = ("balance", "paid_to_date", "payment_balance", "credit_balance")


def merge(call: Call, kept_id: str, gone_id: str) -> Any:
    """Answer POST /clients/<kept>/<gone>/merge: all records move, balances are added, the gone client is removed."""
    _ask_password(call)
    kept = call.live_row("clients", kept_id)
    if kept_id == gone_id:
        refuse(400, "Attempting to merge the same client is not possible.")
    gone = call.state.tables["clients"].get(gone_id)
    if gone is None:
        refuse(400, "Client not found")
    for entity in OWNED:
        for row in call.state.tables[entity].having("client_id", gone_id):
            records.change(call.state, entity, row, {"client_id": kept_id})
    sums = {column: kept[column] + gone[column] for column in _SUMS}
    call.state.tables["clients"].remove(gone)
    records.change(call.state, "clients", kept, {**sums, "contacts": [*kept["contacts"], *_moved(gone)]})
    return one(call, "clients", kept)


def purge(call: Call, client_id: str) -> Any:
    """Answer POST /clients/<id>/purge: the client and all that is theirs are gone without a trace."""
    _ask_password(call)
    client = call.row("clients", client_id)
    for entity in OWNED:
        for row in call.state.tables[entity].having("client_id", client_id):
            _forget(call.state, entity, row)
    call.state.tables["clients"].remove(client)
    return {"message": "Success"}


def _ask_password(call: Call) -> None:
    """Refuse without the owner's password, until it was right once (E12)."""
    if call.headers.get("x-api-password") == PASSWORD:
        call.state.password_was_given = True
    elif not call.state.password_was_given or "x-api-password" in call.headers:
        raise RefusedError(412, {"message": "Invalid Password", "errors": {}})


def _moved(gone: Row) -> list[dict[str, Any]]:
    return [{**contact, "is_primary": False} for contact in gone["contacts"]]


def _forget(state: NinjaState, entity: str, row: Row) -> None:
    state.tables[entity].remove(row)
    if entity == "payments":
        state.idempotency_keys = {key: owner for key, owner in state.idempotency_keys.items() if owner is not row}
