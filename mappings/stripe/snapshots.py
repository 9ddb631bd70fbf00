"""Which kinds of objects matter, and when one snapshot of an object is newer than another."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mappings.stripe import decode as parsing
from mappings.stripe.fields import Fields
from mappings.stripe.models import (
    BalanceTransaction,
    Charge,
    Dispute,
    Intent,
    InvoicePayment,
    Refund,
    Session,
    StripeInvoice,
)

Record = BalanceTransaction | Charge | Dispute | Intent | InvoicePayment | Refund | Session | StripeInvoice
Order = tuple[int, ...]

# The order of a life, for snapshots of the same second; unknown words come before all others.
_INTENT: Final = ("requires_payment_method", "requires_confirmation", "requires_action", "processing")
_CHARGE: Final = ("pending", "failed", "succeeded")
_REFUND: Final = ("pending", "requires_action", "succeeded", "canceled", "failed")
_DISPUTE: Final = (
    *("warning_needs_response", "warning_under_review", "warning_closed"),
    *("needs_response", "under_review", "prevented", "lost", "won"),
)
_INVOICE: Final = ("draft", "open", "uncollectible", "void", "paid")
_FINAL_INTENT: Final = frozenset({"succeeded", "canceled"})


@dataclass(frozen=True, slots=True)
class Kind:
    """How to read one kind of object, and which of its fields may hold further objects."""

    read: Callable[[Fields], Record]
    nested: tuple[str, ...] = ()


KINDS: Final[Mapping[str, Kind]] = {
    "payment_intent": Kind(parsing.read_intent, ("charges", "latest_charge", "invoice")),
    "charge": Kind(parsing.read_charge, ("refunds", "payment_intent", "invoice", "balance_transaction")),
    "refund": Kind(parsing.read_refund, ("charge", "payment_intent")),
    "dispute": Kind(parsing.read_dispute, ("charge", "payment_intent")),
    "checkout.session": Kind(parsing.read_session, ("payment_intent", "invoice")),
    "invoice": Kind(parsing.read_invoice, ("payments", "payment_intent", "charge")),
    "invoice_payment": Kind(parsing.read_invoice_payment, ("invoice",)),
    "balance_transaction": Kind(parsing.read_balance_transaction),
}


def records_in(fields: Fields) -> Iterator[Record]:
    """The record of this object and of all expanded objects within it; unknown kinds yield nothing.

    Raises:
        BadStripeObject: a field we need is not as documented.
    """
    kind = KINDS.get(fields.optional_text("object") or "")
    if kind is None:
        return
    yield kind.read(fields)
    for name in kind.nested:
        for nested in _objects_at(fields, name):
            yield from records_in(nested)


def order(record: Record, created: int) -> Order:
    """The position of this snapshot in the life of its object; `created` is the time of the event that shows it.

    A payment intent that succeeded or was canceled never changes again, whatever a late event says.
    """
    return _LIFE[type(record)](record, created)


def _intent_order(intent: Intent, created: int) -> Order:
    # Within one second a failure follows the attempt; nobody tries again that quickly.
    rank = len(_INTENT) if intent.failure else _rank(_INTENT, intent.status)
    return (int(intent.status in _FINAL_INTENT), created, rank, intent.received or 0)


def _charge_order(charge: Charge, created: int) -> Order:
    has_fee = int(charge.balance_transaction is not None)
    return (created, _rank(_CHARGE, charge.status), charge.captured, charge.refunded_hint, has_fee)


_LIFE: Final[Mapping[type[Any], Callable[[Any, int], Order]]] = {
    Intent: _intent_order,
    Charge: _charge_order,
    Refund: lambda refund, created: (created, _rank(_REFUND, refund.status)),
    Dispute: lambda dispute, created: (
        *(created, _rank(_DISPUTE, dispute.status), dispute.withdrawn + dispute.reinstated),
    ),
    Session: lambda session, created: (created, int(session.payment_status != "unpaid")),
    StripeInvoice: lambda invoice, created: (created, _rank(_INVOICE, invoice.status), invoice.attempt_count),
    InvoicePayment: lambda payment, created: (created, int(payment.status == "paid")),
    BalanceTransaction: lambda _, created: (created,),
}


def _objects_at(fields: Fields, name: str) -> Sequence[Fields]:
    value: Any = fields.data.get(name)
    if isinstance(value, list) or (isinstance(value, Mapping) and value.get("object") == "list"):
        return fields.children(name)
    nested = fields.child(name)
    return [nested] if nested else []


def _rank(words: tuple[str, ...], word: str) -> int:
    return words.index(word) if word in words else -1
