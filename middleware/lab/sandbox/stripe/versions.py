"""The same object in an older API version: before 2025-03-31 invoices and payments named each other."""

from typing import Final

from middleware.lab.sandbox.stripe.shapes import Json

NEWEST: Final = "2026-10-28.endive"
_BASIL: Final = "2025-03-31"
_INVOICE_PAYMENT_EVENTS: Final = "2025-05-28"
_REFUND_EVENTS: Final = "2024-10-28"


def as_in(version: str, shown: Json, invoice: str | None, intent: str | None, charge: str | None) -> Json:
    """The object as this API version shows it; `invoice`, `intent` and `charge` are what belongs together."""
    if version >= _BASIL:
        return shown
    if shown["object"] in {"payment_intent", "charge"}:
        return {**shown, "invoice": invoice}
    if shown["object"] != "invoice":
        return shown
    out_of_band = shown["status"] == "paid" and intent is None and shown["amount_paid"] > 0
    old = {key: value for key, value in shown.items() if key not in {"parent", "amount_overpaid", "total_taxes"}}
    return {
        **old,
        "amount_paid": 0 if out_of_band else shown["amount_paid"],
        "charge": charge,
        "paid": shown["status"] == "paid",
        "paid_out_of_band": out_of_band,
        "payment_intent": intent,
        "subscription": None,
    }


def is_sent_in(version: str, event_type: str) -> bool:
    """Whether this API version has events of this type."""
    if event_type.startswith("invoice_payment."):
        return version >= _INVOICE_PAYMENT_EVENTS
    return not event_type.startswith("refund.") or version >= _REFUND_EVENTS
