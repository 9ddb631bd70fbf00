"""Payments: create, apply, change, delete (facts section 9); refunds have their own module."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja import ledger, records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid, number_errors, refuse
from middleware.lab.sandbox.invoiceninja.clients import mail_addresses
from middleware.lab.sandbox.invoiceninja.credit_notes import apply_credit, give_credits_back
from middleware.lab.sandbox.invoiceninja.listing import paged
from middleware.lab.sandbox.invoiceninja.payment_checks import create_errors, listed, update_errors
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import CUSTOM_FIELDS
from middleware.lab.sandbox.invoiceninja.state import Mail, NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, as_date, collated, decimal, is_true, number, text

_TEXTS = ("transaction_reference", "private_notes", "type_id", *CUSTOM_FIELDS)
_CANCELLED = "2"


def create(call: Call) -> Any:
    """Answer POST /payments: always completed; the invoices become partially paid or paid, drafts as well."""
    state, data = call.state, call.data
    # The guard stands before the validation: also a refused payment blocks its twin for a second.
    if state.is_repeated("payment", call.ip, str(data.get("amount")), data.get("client_id")):
        refuse(400, "Duplicate request")
    invalid(create_errors(call))
    used, credited = _sum(listed(call, "invoices")), _sum(listed(call, "credits"))
    amount = decimal(data.get("amount")) or max(ZERO, used - credited)
    values = {**records.texts(call, _TEXTS), "amount": number(amount), "applied": number(used - credited)}
    day = as_date(data.get("date"))
    values["date"] = day.isoformat() if day else state.company_today()
    values["number"] = text(data.get("number")) or state.next_number("payment")
    key = text(data.get("idempotency_key")) or f"{state.now()}:{values['date']}:{amount}:{data['client_id']}"
    payment = ledger.new_payment(state, data["client_id"], values, key)
    state.idempotency_keys[collated(key)] = payment
    _use(call, payment, listed(call, "invoices"))
    for item in listed(call, "credits"):
        apply_credit(state, payment, state.tables["credits"].get(item.get("credit_id")), decimal(item.get("amount")))
    ledger.change_client(state, payment["client_id"], payment_balance=ledger.unapplied(payment))
    _note_receipt(call, payment)
    return records.created(call, "payments", payment)


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /payments/<id>: `invoices` are applied on top each time (the trap), the amount is ignored."""
    payment = call.live_row("payments", row_id)
    invalid({**number_errors(call, "payments", payment), **update_errors(call, payment)})
    values: dict[str, Any] = records.texts(call, _TEXTS)
    day = as_date(call.data.get("date"))
    if day:
        values["date"] = day.isoformat()
    if call.data.get("number") is not None:
        values["number"] = text(call.data["number"])
    more = _sum(listed(call, "invoices"))
    values["applied"] = number(decimal(payment["applied"]) + more)
    records.change(call.state, "payments", payment, values)
    _use(call, payment, listed(call, "invoices"))
    ledger.change_client(call.state, payment["client_id"], payment_balance=-more)
    return one(call, "payments", payment)


def delete(call: Call, row_id: str) -> Any:
    """Answer DELETE /payments/<id> with the payment as it was; its invoices are open again."""
    payment = call.row("payments", row_id)
    before = one(call, "payments", payment)
    delete_payment(call.state, "payments", payment)
    return before


def delete_payment(state: NinjaState, entity: str, payment: Row) -> None:
    """Cancel a payment and give credits and invoices back what it used of them; number and key stay taken.

    What the client has paid goes down by what the invoices lose, and by money that paid no invoice: so a payment of
    0 that only used a credit takes that credit's amount with it (app/Services/Payment/DeletePayment.php of 5.10.42).
    """
    if payment["is_deleted"]:
        return
    give_credits_back(state, payment)
    freed = sum((_free(state, payment, item) for item in payment["paymentables"] if "invoice_id" in item), ZERO)
    amount = decimal(payment["amount"])
    rest = max(ZERO, amount - decimal(payment["refunded"]) - freed) if amount >= 0 else amount
    ledger.change_client(state, payment["client_id"], paid_to_date=-rest, payment_balance=-ledger.unapplied(payment))
    records.change(state, entity, payment, {"status_id": _CANCELLED, "paymentables": []})
    records.delete(state, entity, payment)


def _free(state: NinjaState, payment: Row, item: Mapping[str, Any]) -> Decimal:
    """Take back what a payment paid of one invoice, and give the amount."""
    amount = decimal(item["amount"]) - decimal(item["refunded"])
    invoice = state.tables["invoices"].get(item["invoice_id"])
    if invoice is None:
        return amount
    if invoice["status_id"] == ledger.CANCELLED or invoice["is_deleted"]:
        # Its balance is gone already.
        records.change(state, "invoices", invoice, {"paid_to_date": number(decimal(invoice["paid_to_date"]) - amount)})
    else:
        ledger.reopen(state, invoice, amount)
        if invoice["balance"] == 0:
            records.change(state, "invoices", invoice, {"status_id": ledger.PAID})
    if not invoice["is_deleted"]:
        ledger.change_client(state, payment["client_id"], paid_to_date=-amount)
    _unlink(state, invoice, payment)
    return amount


def _unlink(state: NinjaState, invoice: Row, payment: Row) -> None:
    linked = state.payments_of_invoice.get(invoice.id, [])
    state.payments_of_invoice[invoice.id] = [other for other in linked if other is not payment]


def bulk(call: Call) -> Any:
    """Answer POST /payments/bulk; restoring a deleted payment changes nothing, as recorded."""
    acts = {"archive": records.archive, "restore": _restore, "delete": delete_payment}
    act = acts.get(text(call.data.get("action")))
    if act is None:
        return invalid({"action": ["The selected action is invalid."]})
    rows = records.rows_named(call, "payments")
    for row in rows:
        act(call.state, "payments", row)
    return paged(call, "payments", rows)


def _restore(state: NinjaState, entity: str, payment: Row) -> None:
    if not payment["is_deleted"]:
        records.restore(state, entity, payment)


def _use(call: Call, payment: Row, items: list[Mapping[str, Any]]) -> None:
    for item in items:
        invoice = call.state.tables["invoices"].get(item.get("invoice_id"))
        if invoice is not None:
            ledger.apply_payment(call.state, payment, invoice, decimal(item.get("amount")))


def _sum(items: list[Mapping[str, Any]]) -> Decimal:
    return sum((decimal(item.get("amount")) for item in items), ZERO)


def _note_receipt(call: Call, payment: Row) -> None:
    """Without `email_receipt` the company setting decides, and that is on by default (facts section 9)."""
    asked = call.data.get("email_receipt")
    wanted = call.state.setting("client_manual_payment_notification") if asked is None else is_true(asked)
    if wanted:
        to = mail_addresses(call.state, payment["client_id"])
        call.state.mails.append(Mail("payment_receipt", payment.id, to))
