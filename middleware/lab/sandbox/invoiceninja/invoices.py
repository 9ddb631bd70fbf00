"""Invoices: create, change, delete, and the link to tasks (facts sections 7 and 8)."""

from typing import Any

from middleware.lab.sandbox.invoiceninja import documents, keywords, ledger, records
from middleware.lab.sandbox.invoiceninja.call import Call, RefusedError, invalid
from middleware.lab.sandbox.invoiceninja.invoice_actions import delete_invoice, link_tasks, trigger
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import INVOICE
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, number, text

_LOCKED = {"message": "", "errors": {"number": "This invoice is locked and unable to be modified"}}


def create(call: Call) -> Any:
    """Answer POST /invoices: a draft, unless a flag says more."""
    invalid(documents.errors_of(call, "invoices"))
    state, client_id = call.state, call.data["client_id"]
    values = {**INVOICE, **records.born(state), **documents.given(call), "client_id": client_id}
    values["design_id"] = documents.DESIGN_ID
    values["date"] = values["date"] or state.company_today()
    values = documents.with_defaults(state, values, call.data)
    values["number"] = text(call.data.get("number")) or ledger.first_number(state, client_id)
    values["auto_bill_enabled"] = bool(call.data.get("auto_bill_enabled"))
    values["invitations"] = documents.invitations(call, "invoice", client_id)
    values.update(documents.with_sums(state, values, _filled(state, call.data.get("line_items") or [])))
    row = state.tables["invoices"].add(values)
    link_tasks(state, row)
    trigger(call, row)
    return records.created(call, "invoices", row)


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /invoices/<id>: partial; a cancelled invoice becomes "paid" (the trap)."""
    row = call.live_row("invoices", row_id)
    _check_lock(call, row)
    invalid(documents.errors_of(call, "invoices", row))
    state = call.state
    values = documents.given(call)
    if call.data.get("number") is not None:
        values["number"] = text(call.data["number"])
    if "auto_bill_enabled" in call.data:
        values["auto_bill_enabled"] = bool(call.data["auto_bill_enabled"])
    lines = call.data["line_items"] if call.data.get("line_items") is not None else row["line_items"]
    values.update(documents.with_sums(state, {**row.data, **values}, lines))
    _rebalance(call, row, values)
    link_tasks(state, row)
    trigger(call, row)
    return one(call, "invoices", row)


def delete(call: Call, row_id: str) -> Any:
    """Answer DELETE /invoices/<id>; locks do not hinder it."""
    row = call.row("invoices", row_id)
    delete_invoice(call.state, row)
    return one(call, "invoices", row)


def _filled(state: NinjaState, lines: list[Any]) -> list[Any]:
    """Lines with the reserved words in their notes replaced, as only a POST does."""
    today = state.company_time(state.now()).date()
    return [
        {**line, "notes": keywords.filled(text(line.get("notes")), today)} for line in lines if isinstance(line, dict)
    ]


def blank(call: Call) -> Any:
    """Answer GET /invoices/create; line_items is a string there, as recorded."""
    day = {"date": call.state.company_today(), "line_items": "[]"}
    return {"data": {**INVOICE, "user_id": records.owner_id(call.state), **day}}


def _rebalance(call: Call, row: Row, values: dict[str, Any]) -> None:
    """Carry a changed amount over to the balance and judge the status anew; a draft has no balance."""
    if row["status_id"] == ledger.DRAFT:
        records.change(call.state, "invoices", row, values)
        return
    delta, before = decimal(values["amount"]) - decimal(row["amount"]), decimal(row["balance"])
    # What was cancelled owes nothing, whatever its lines become.
    balance = before + delta if row["status_id"] != ledger.CANCELLED else ZERO
    status = ledger.status_for(balance, decimal(values["amount"]))
    records.change(call.state, "invoices", row, {**values, "balance": number(balance), "status_id": status})
    ledger.change_client(call.state, row["client_id"], balance=balance - before)


def _check_lock(call: Call, row: Row) -> None:
    lock, status = call.state.setting("lock_invoices"), row["status_id"]
    sent = lock == "when_sent" and status != ledger.DRAFT
    if sent or (lock == "when_paid" and status == ledger.PAID):
        raise RefusedError(422, _LOCKED)
