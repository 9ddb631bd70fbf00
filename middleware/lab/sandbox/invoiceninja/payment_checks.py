"""Validation of payments: every message as the real server words it (facts section 9)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from middleware.lab.sandbox.invoiceninja import ledger
from middleware.lab.sandbox.invoiceninja.call import Call, client_errors, number_errors
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, collated, decimal, is_number

Errors = dict[str, list[str]]

KEY_LIMIT = 64
"""Characters of an idempotency key."""

_SETTLED = (ledger.PAID, ledger.CANCELLED)
_OVERPAID = "The amount is greater than the invoice balance. You cannot overpay an invoice."


def listed(call: Call, name: str) -> list[Mapping[str, Any]]:
    """Give the objects of a list in the body, e.g. `invoices`."""
    items = call.data.get(name)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def create_errors(call: Call) -> Errors:
    """Validate POST /payments."""
    errors = {**client_errors(call, required=True), **_amount_errors(call), **_settled_errors(call)}
    errors.update(number_errors(call, "payments"))
    errors.update(_key_errors(call))
    for index, item in enumerate(listed(call, "invoices")):
        message = _invoice_error(call, item)
        if message:
            errors[f"invoices.{index}.invoice_id"] = [message]
    errors.update(_repeated_errors(call))
    return errors


def update_errors(call: Call, payment: Row) -> Errors:
    """Validate that a PUT applies no more than the payment has left and no invoice is overpaid."""
    items = listed(call, "invoices")
    wanted = sum((decimal(item.get("amount")) for item in items), ZERO)
    if wanted > ledger.unapplied(payment):
        return {"invoices": ["Insufficient applied amount remaining to cover payment."]}
    found = {f"invoices.{index}.invoice_id": _open_error(call, item) for index, item in enumerate(items)}
    return {name: [message] for name, message in found.items() if message}


def _amount_errors(call: Call) -> Errors:
    amount = call.data.get("amount")
    if amount is not None and not is_number(amount):
        return {"amount": ["The amount must be a number."]}
    used = sum((decimal(item.get("amount")) for item in listed(call, "invoices")), ZERO)
    credited = sum((decimal(item.get("amount")) for item in listed(call, "credits")), ZERO)
    if used and decimal(amount) != 0 and used > decimal(amount) + credited:
        return {"amount": ["Amounts do not balance correctly."]}
    return {}


def _settled_errors(call: Call) -> Errors:
    rows = (call.state.tables["invoices"].get(item.get("invoice_id")) for item in listed(call, "invoices"))
    if any(row is not None and row["status_id"] in _SETTLED for row in rows):
        return {"invoices": ["One or more of these invoices have been paid"]}
    return {}


def _key_errors(call: Call) -> Errors:
    key = call.data.get("idempotency_key")
    if key is None:
        return {}
    if len(str(key)) > KEY_LIMIT:
        return {"idempotency_key": [f"The idempotency key must not be greater than {KEY_LIMIT} characters."]}
    taken = collated(str(key)) in call.state.idempotency_keys
    return {"idempotency_key": ["The idempotency key has already been taken."]} if taken else {}


def _invoice_error(call: Call, item: Mapping[str, Any]) -> str:
    if call.data.get("client_id") is None:
        return "Client id is required"
    invoice = call.state.tables["invoices"].get(item.get("invoice_id"))
    if invoice is not None and invoice["client_id"] != call.data["client_id"]:
        return "Selected invoices are not from a single client"
    return _open_error(call, item)


def _open_error(call: Call, item: Mapping[str, Any]) -> str:
    invoice = call.state.tables["invoices"].get(item.get("invoice_id"))
    if invoice is None or invoice["is_deleted"]:
        return "The requested invoice is not available"
    open_amount = invoice["amount"] if invoice["status_id"] == ledger.DRAFT else invoice["balance"]
    return _OVERPAID if decimal(item.get("amount")) > decimal(open_amount) else ""


def _repeated_errors(call: Call) -> Errors:
    ids = [item.get("invoice_id") for item in listed(call, "invoices")]
    times = Counter(ids)
    names = [f"invoices.{index}.invoice_id" for index, row_id in enumerate(ids) if times[row_id] > 1]
    return {name: [f"The {name} field has a duplicate value."] for name in names}
