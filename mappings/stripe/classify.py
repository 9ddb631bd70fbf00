"""Sorts events at the door: which matter, about which money, and why the others do not.

Runs in the receiver for every delivery: only a few fields are looked at. What cannot be read in detail is still let in;
reading it fails later, where a person sees the reason. Source: docs/facts/stripe.md sections 1 and 5.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from mappings.stripe.decode import out_of_band
from mappings.stripe.fields import BadStripeObject, Fields

_ACCOUNT: Final = re.compile(r"acct_\w+")

IgnoredReason = Literal[
    "thin_event", "connect_account", "other_account", "other_mode", "unknown_type", "not_about_a_payment"
]

# `reconcile` is our own: an object as a list of the API showed it, when no webhook told of it.
_OF_INTENTS: Final = frozenset(
    f"payment_intent.{what}" for what in ("succeeded", "payment_failed", "processing", "canceled", "reconcile")
)
_OF_CHARGES: Final = frozenset(
    f"charge.{what}" for what in ("succeeded", "captured", "updated", "pending", "failed", "refunded", "reconcile")
)
_OF_MONEY_BACK: Final = frozenset(
    [
        *(f"refund.{what}" for what in ("created", "updated", "failed")),
        "charge.refund.updated",
        *(f"charge.dispute.{what}" for what in ("created", "updated", "closed")),
        *(f"charge.dispute.{what}" for what in ("funds_withdrawn", "funds_reinstated")),
    ]
)
_OF_SESSIONS: Final = frozenset(
    f"checkout.session.{what}" for what in ("completed", "async_payment_succeeded", "async_payment_failed")
)
_OF_INVOICES: Final = frozenset(
    f"invoice.{what}"
    for what in ("paid", "payment_succeeded", "payment_failed", "overdue", "voided", "marked_uncollectible")
)
_OF_INVOICE_PAYMENTS: Final = frozenset({"invoice_payment.paid"})

RELEVANT_TYPES: Final = _OF_INTENTS | _OF_CHARGES | _OF_MONEY_BACK | _OF_SESSIONS | _OF_INVOICES | _OF_INVOICE_PAYMENTS


@dataclass(frozen=True, slots=True)
class Relevant:
    """The event may change what Invoice Ninja should hold for this subject (`stripe:payment:pi_...`)."""

    subject: str


@dataclass(frozen=True, slots=True)
class Irrelevant:
    """The event changes nothing, and why."""

    reason: IgnoredReason


def classify(event: Mapping[str, Any], *, live: bool | None = None, account: str = "") -> Relevant | Irrelevant:
    """What to do with a decoded event.

    `live` is the mode we are configured for; None takes both modes. `account` is our own account (`acct_...`), "" while
    it is not known: then events that name theirs are let in, see `account_of`.

    Raises:
        BadStripeObject: this is no event of Stripe at all (no id, no type).
    """
    fields = Fields(event, f"event {event.get('id')!r}"[:120])
    fields.text("id")
    kind = fields.text("type")
    if fields.data.get("object") == "v2.core.event":
        return Irrelevant("thin_event")
    if fields.data.get("account"):
        return Irrelevant("connect_account")
    if account and account_of(event) not in {"", account}:
        return Irrelevant("other_account")
    if live is not None and fields.data.get("livemode") is (not live):
        return Irrelevant("other_mode")
    if kind not in RELEVANT_TYPES:
        return Irrelevant("unknown_type")
    return _about(fields, kind)


def account_of(event: Mapping[str, Any]) -> str:
    """The account that an event of an organisation's destination says it comes from; "" when it names none.

    Only such destinations send a `context` (API versions since 2025-04-30).
    """
    context = event.get("context")
    named = _ACCOUNT.findall(context) if isinstance(context, str) else []
    return named[-1] if named else ""


def _about(fields: Fields, kind: str) -> Relevant | Irrelevant:
    # What cannot be read comes in under its own name: the handler reads it again and a person sees what is wrong.
    unreadable = Relevant(f"stripe:event:{fields.text('id')}")
    try:
        data = fields.child("data")
        shown = data.child("object") if data else None
        if shown is None:
            return unreadable
        subject = _subject(kind, shown)
    except BadStripeObject:
        return unreadable
    return Relevant(subject) if subject else Irrelevant("not_about_a_payment")


def _subject(kind: str, shown: Fields) -> str | None:
    if kind in _OF_INVOICES:
        return _subject_of_invoice(shown)
    if kind in _OF_INVOICE_PAYMENTS:
        payment = shown.child("payment")
        money = (payment.reference("payment_intent") or payment.reference("charge")) if payment else None
        return _named(money, shown.reference("invoice"))
    if kind in _OF_INTENTS:
        return _named(shown.text("id"), None)
    if kind in _OF_SESSIONS:
        return _named(shown.reference("payment_intent"), shown.reference("invoice"))
    charge = shown.text("id") if kind in _OF_CHARGES else shown.reference("charge")
    return _named(shown.reference("payment_intent") or charge, None)


def _subject_of_invoice(shown: Fields) -> str | None:
    """Before 2025-03-31 an invoice names its payment; what was paid past Stripe is money of the invoice itself."""
    money = shown.reference("payment_intent") or shown.reference("charge")
    return _named(None if out_of_band(shown) else money, shown.text("id"))


def _named(money: str | None, invoice: str | None) -> str | None:
    if money:
        return f"stripe:payment:{money}"
    return f"stripe:invoice:{invoice}" if invoice else None
