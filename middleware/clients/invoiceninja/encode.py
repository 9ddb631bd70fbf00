"""What is sent for an invoice, a credit or a payment; always complete and always with its date."""

from collections.abc import Mapping
from typing import Any

from handlers.errors import NeedsPerson
from mappings.codes import Code
from mappings.invoiceninja.models import Allocation, CustomField, InvoiceDraft, InvoiceLine, PaymentDraft
from mappings.values.text import fitting

_LONGEST_NUMBER = 64
"""Characters of an idempotency key; longer numbers would also be cut silently."""


def invoice_body(draft: InvoiceDraft) -> dict[str, Any]:
    """The body of POST /invoices or /credits; empty fields are left out, so that Invoice Ninja's defaults apply."""
    named: dict[str, str] = {
        "client_id": draft.client_id,
        "number": draft.number,
        "date": draft.date,
        "due_date": draft.due_date,
        "po_number": draft.po_number,
        "project_id": draft.project_id,
        "public_notes": fitting(draft.public_notes),
        "private_notes": fitting(draft.private_notes),
    }
    filled = {name: value for name, value in named.items() if value}
    return {
        **filled,
        **_by_name(draft.custom_values),
        **draft.extra,
        "line_items": [line_body(line) for line in draft.lines],
    }


def line_body(line: InvoiceLine) -> dict[str, Any]:
    """One entry of `line_items`."""
    taxes = {
        key: value
        for slot, tax in enumerate(line.taxes, start=1)
        for key, value in ((f"tax_name{slot}", tax.name), (f"tax_rate{slot}", tax.rate))
    }
    return {
        "type_id": line.type_id,
        "task_id": line.task_id,
        "product_key": line.product_key,
        "notes": line.notes,
        "quantity": line.quantity,
        "cost": line.cost,
        "discount": line.discount,
        "is_amount_discount": line.is_amount_discount,
        **taxes,
    }


def payment_body(draft: PaymentDraft) -> dict[str, Any]:
    """The body of POST /payments.

    Raises:
        ValueError: its number cannot be an idempotency key.
        NeedsPerson: its amount is one that Invoice Ninja would take and should not.
    """
    if not 0 < len(draft.number) <= _LONGEST_NUMBER:
        raise ValueError(f"payment number {draft.number!r} is not 1 to {_LONGEST_NUMBER} characters long")
    if draft.amount < 0 or (draft.amount == 0 and not draft.credits):
        raise NeedsPerson(
            Code.PAYMENT_AMOUNT_BAD,
            f"payment {draft.number} has the amount {draft.amount}",
            "look at this payment where it was made",
        )
    optional: dict[str, Any] = {
        "type_id": draft.type_id,
        "private_notes": draft.private_notes,
        "invoices": allocation_bodies(draft.invoices),
        "credits": [{"credit_id": credit_id, "amount": amount} for credit_id, amount in draft.credits.items()],
    }
    return {
        "number": draft.number,
        "idempotency_key": draft.number,
        "transaction_reference": draft.transaction_reference,
        "client_id": draft.client_id,
        "amount": draft.amount,
        "date": draft.date,
        # A text, and never left out: by default the client gets a mail.
        "email_receipt": "true" if draft.email_receipt else "false",
        **{name: value for name, value in optional.items() if value},
        **_by_name(draft.custom_values),
    }


def allocation_bodies(allocations: tuple[Allocation, ...]) -> list[dict[str, Any]]:
    """The parts of a payment or refund by invoice."""
    return [{"invoice_id": part.invoice_id, "amount": part.amount} for part in allocations]


def _by_name(custom_values: Mapping[CustomField, str]) -> dict[str, str]:
    return {str(name): value for name, value in custom_values.items()}
