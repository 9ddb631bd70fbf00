"""POST /payments/refund: executed again each time it is sent, and its answer is stale (facts section 9)."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja import ledger, records
from middleware.lab.sandbox.invoiceninja.call import Call, invalid
from middleware.lab.sandbox.invoiceninja.clients import mail_addresses
from middleware.lab.sandbox.invoiceninja.credit_notes import refund_credits
from middleware.lab.sandbox.invoiceninja.payment_checks import listed
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.state import Mail
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, is_true, number

_PARTIALLY_REFUNDED, _REFUNDED = "5", "6"


def refund(call: Call) -> Any:
    """Refund a payment for the given invoices; they are open again and no longer billed automatically."""
    state = call.state
    payment = state.tables["payments"].get(call.data.get("id"))
    invalid(_errors(call, payment))
    if payment is None:
        raise LookupError("the validation lets no refund without a payment pass")
    items = listed(call, "invoices")
    total = sum((decimal(item.get("amount")) for item in items), ZERO) if items else decimal(call.data.get("amount"))
    net = total - refund_credits(state, payment, total)
    if not is_true(call.data.get("gateway_refund")) or net <= 0:
        _add_refunded(call, payment, net)
    # With `gateway_refund` a manual payment, which has no gateway, keeps its `refunded` (the trap).
    done = decimal(payment["amount"]) in (total, decimal(payment["refunded"]))
    records.change(state, "payments", payment, {"status_id": _REFUNDED if done else _PARTIALLY_REFUNDED})
    stale = one(call, "payments", payment)
    for item in items:
        _reopen(call, payment, item)
    ledger.change_client(state, payment["client_id"], paid_to_date=-total)
    if is_true(call.data.get("send_email")):
        state.mails.append(Mail("refund", payment.id, mail_addresses(state, payment["client_id"])))
    return stale


def _add_refunded(call: Call, payment: Row, total: Decimal) -> None:
    refunded = decimal(payment["refunded"]) + total
    records.change(call.state, "payments", payment, {"refunded": number(refunded)})
    ledger.change_client(call.state, payment["client_id"], payment_balance=-total)


def _reopen(call: Call, payment: Row, item: Mapping[str, Any]) -> None:
    invoice = call.state.tables["invoices"].get(item.get("invoice_id"))
    if invoice is None:
        return
    amount = decimal(item.get("amount"))
    ledger.reopen(call.state, invoice, amount)
    records.change(call.state, "invoices", invoice, {"auto_bill_enabled": False})
    records.change(call.state, "payments", payment, {"paymentables": _marked(payment, invoice.id, amount)})


def _marked(payment: Row, invoice_id: str, amount: Decimal) -> list[dict[str, Any]]:
    """Spread a refund over what the payment paid of the invoice, oldest first."""
    marked = []
    for item in payment["paymentables"]:
        left = decimal(item["amount"]) - decimal(item["refunded"])
        taken = min(left, amount) if item.get("invoice_id") == invoice_id else ZERO
        amount -= taken
        marked.append({**item, "refunded": number(decimal(item["refunded"]) + taken)})
    return marked


def _errors(call: Call, payment: Row | None) -> dict[str, list[str]]:
    if payment is None:
        return {"id": ["Unable to retrieve specified payment"]}
    errors: dict[str, list[str]] = {}
    if call.data.get("date") is None:
        errors["date"] = ["The date field is required."]
    items = listed(call, "invoices")
    if payment["paymentables"] and not items:
        errors["id"] = [
            "Attempting to refund a payment with invoices attached, please specify valid invoice/s to be refunded."
        ]
    elif not items and decimal(call.data.get("amount")) > decimal(payment["amount"]) - decimal(payment["refunded"]):
        errors["id"] = ["Attempting to refund more than the payment has left"]
    for item in items:
        errors.update(_item_errors(payment, item))
    return errors


def _item_errors(payment: Row, item: Mapping[str, Any]) -> dict[str, list[str]]:
    invoice_id, wanted = item.get("invoice_id"), decimal(item.get("amount"))
    mine = [used for used in payment["paymentables"] if used.get("invoice_id") == invoice_id]
    # The real server subtracts in binary fractions: what is left falls a hair short now and then (facts 2, 90).
    left = sum(float(used["amount"]) - float(used["refunded"]) for used in mine)
    if float(wanted) <= left:
        return {}
    shown = number(decimal(left))
    id_error = (
        f"Attempting to refund more than allowed for invoice id {invoice_id}, maximum refundable amount is {shown}"
    )
    available = f"Attempting to refund {number(wanted)} only {shown} available for refund"
    return {"id": [id_error], "invoices": [available if left else "Invoice id :number cannot be refunded"]}
