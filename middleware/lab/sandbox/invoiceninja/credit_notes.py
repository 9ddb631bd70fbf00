"""Credits: made like invoices, used through `credits` of a payment (facts section 9)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja import documents, ledger, records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import CREDIT
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, number, text

_DRAFT, _SENT, _PARTIAL, _APPLIED = "1", "2", "3", "4"


def create(call: Call) -> Any:
    """Answer POST /credits: a draft, or sent with `mark_sent`."""
    invalid(documents.errors_of(call, "credits"))
    state, client_id = call.state, call.data["client_id"]
    values = {**CREDIT, **records.born(state), **documents.given(call), "client_id": client_id}
    values["design_id"] = documents.DESIGN_ID
    # Unlike invoices, credits take today's date in UTC, and a date for the deposit too (as recorded).
    values["date"] = values["date"] or state.today()
    values["partial_due_date"] = values["partial_due_date"] or state.today()
    values["number"] = text(call.data.get("number")) or state.next_number("credit")
    values["invitations"] = documents.invitations(call, "credit", client_id)
    values.update(documents.with_sums(state, values, call.data.get("line_items") or []))
    row = state.tables["credits"].add(values)
    if call.flag("mark_sent"):
        _mark_sent(state, row)
    return records.created(call, "credits", row)


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /credits/<id>; a sent credit keeps what was already used of it."""
    row = call.live_row("credits", row_id)
    invalid(documents.errors_of(call, "credits", row))
    values = documents.given(call)
    if call.data.get("number") is not None:
        values["number"] = text(call.data["number"])
    lines = call.data["line_items"] if call.data.get("line_items") is not None else row["line_items"]
    values.update(documents.with_sums(call.state, {**row.data, **values}, lines))
    if row["status_id"] != _DRAFT:
        delta = decimal(values["amount"]) - decimal(row["amount"])
        values["balance"] = number(decimal(row["balance"]) + delta)
        ledger.change_client(call.state, row["client_id"], credit_balance=delta)
    records.change(call.state, "credits", row, values)
    if call.flag("mark_sent"):
        _mark_sent(call.state, row)
    return one(call, "credits", row)


def apply_credit(state: NinjaState, payment: Row, credit: Row | None, amount: Decimal) -> None:
    """Use part of a credit in a payment; it counts as paid by the client."""
    if credit is None:
        return
    _mark_sent(state, credit)
    balance = decimal(credit["balance"]) - amount
    values = {
        "balance": number(balance),
        "paid_to_date": number(decimal(credit["paid_to_date"]) + amount),
        "status_id": _APPLIED if balance == 0 else _PARTIAL,
    }
    records.change(state, "credits", credit, values)
    ledger.change_client(state, credit["client_id"], credit_balance=-amount, paid_to_date=amount)
    ledger.add_paymentable(state, payment, {"credit_id": credit.id}, amount)


def give_credits_back(state: NinjaState, payment: Row) -> None:
    """Make what a payment used of credits usable again, unless they were deleted before it (the trap)."""
    for item in payment["paymentables"]:
        credit = state.tables["credits"].get(item.get("credit_id"))
        if credit is not None and not credit["is_deleted"]:
            amount = decimal(item["amount"])
            _give_back(state, credit, amount)
            ledger.change_client(state, credit["client_id"], credit_balance=amount)


def refund_credits(state: NinjaState, payment: Row, total: Decimal) -> Decimal:
    """Take a refund out of the credits that the payment used, and give how much of it they bore."""
    left, marked = total, []
    for item in payment["paymentables"]:
        credit = state.tables["credits"].get(item.get("credit_id"))
        taken = ZERO if credit is None else min(left, decimal(item["amount"]) - decimal(item["refunded"]))
        if credit is not None and taken > 0:
            # The sums of the client stay as they are (app/Services/Payment/RefundPayment.php of 5.10.42).
            _give_back(state, credit, taken)
        marked.append({**item, "refunded": number(decimal(item["refunded"]) + taken)})
        left -= taken
    records.change(state, "payments", payment, {"paymentables": marked})
    return total - left


def delete(state: NinjaState, entity: str, credit: Row) -> None:
    """Delete softly: what is left of it can no longer be used by the client."""
    if not credit["is_deleted"]:
        ledger.change_client(state, credit["client_id"], credit_balance=-decimal(credit["balance"]))
    records.delete(state, entity, credit)


def restore(state: NinjaState, entity: str, credit: Row) -> None:
    """Bring it back, with what is left of it."""
    if credit["is_deleted"]:
        ledger.change_client(state, credit["client_id"], credit_balance=decimal(credit["balance"]))
    records.restore(state, entity, credit)


def delete_one(call: Call, row_id: str) -> Any:
    """Answer DELETE /credits/<id> with the deleted credit."""
    credit = call.row("credits", row_id)
    delete(call.state, "credits", credit)
    return one(call, "credits", credit)


ACTIONS: Mapping[str, records.Act] = {"archive": records.archive, "restore": restore, "delete": delete}


def _give_back(state: NinjaState, credit: Row, amount: Decimal) -> None:
    values = {
        "balance": number(decimal(credit["balance"]) + amount),
        "paid_to_date": number(decimal(credit["paid_to_date"]) - amount),
        "status_id": _SENT,
    }
    records.change(state, "credits", credit, values)


def _mark_sent(state: NinjaState, credit: Row) -> None:
    if credit["status_id"] != _DRAFT:
        return
    sent_at = state.clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    invited = [{**invitation, "sent_date": sent_at} for invitation in credit["invitations"]]
    values = {"status_id": _SENT, "balance": credit["amount"], "invitations": invited}
    records.change(state, "credits", credit, values)
    ledger.change_client(state, credit["client_id"], credit_balance=decimal(credit["amount"]))
