"""Payment intents and their charges: cards, bank debits that take days, authorisation and capture.

Each step sends the events that Stripe sends, in its order (docs/facts/stripe.md section 5, recorded stories a, b, f).
"""

from dataclasses import dataclass
from typing import Any, Literal

from middleware.lab.sandbox.stripe import errors, moneyback, shapes
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

Method = Literal["card", "sepa_debit"]

DECLINES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
}


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays."""

    email: str = "ada@example.org"
    name: str = "Ada Példa"


def create_intent(state: StripeState, amount: int, currency: str, **fields: Any) -> Json:
    """A new payment intent; `fields` are further fields of the object (metadata, customer, capture_method, ...)."""
    intent = state.create("payment_intent", "pi_3", amount=amount, currency=currency, **fields)
    intent = state.change(intent, client_secret=f"{intent['id']}_secret_sandbox")
    state.emit("payment_intent.created", intent)
    return intent


def pay_by_card(state: StripeState, intent: Json, payer: Payer | None = None) -> Json:
    """The card is accepted: the money is there, or only authorised with manual capture. Returns the intent."""
    _demand(intent, "requires_payment_method", "requires_confirmation", "requires_action")
    if intent["capture_method"] == "manual":
        return _authorise(state, intent, payer)
    charge = _charge(state, intent, "card", payer, status="succeeded", paid=True, amount_captured=intent["amount"])
    state.emit("charge.succeeded", charge)
    return _succeed(state, intent, charge)


def decline(state: StripeState, intent: Json, code: str = "generic_decline", payer: Payer | None = None) -> Json:
    """The card is declined; the customer may try again. Returns the intent."""
    _demand(intent, "requires_payment_method", "requires_confirmation", "requires_action")
    message = DECLINES.get(code, DECLINES["generic_decline"])
    outcome = shapes.part("outcome.declined", reason=code)
    failure = {"failure_code": "card_declined", "failure_message": message}
    charge = _charge(state, intent, "card", payer, status="failed", captured=False, outcome=outcome, **failure)
    error = {"charge": charge["id"], "code": "card_declined", "decline_code": code, "message": message}
    state.emit("charge.failed", charge)
    return _fail(state, intent, charge, {**error, "type": "card_error"})


def start_debit(state: StripeState, intent: Json, payer: Payer | None = None) -> Json:
    """A SEPA debit is on its way for days. Returns the intent."""
    _demand(intent, "requires_payment_method", "requires_confirmation", "requires_action")
    charge = _charge(state, intent, "sepa_debit", payer, status="pending")
    state.emit("charge.pending", charge)
    changed = state.change(intent, status="processing", latest_charge=charge["id"], last_payment_error=None)
    state.emit("payment_intent.processing", changed)
    return changed


def debit_arrives(state: StripeState, intent: Json) -> Json:
    """The debit succeeded. Returns the intent."""
    _demand(intent, "processing")
    charge = state.find("charge", intent["latest_charge"])
    charge = settle(state, state.change(charge, status="succeeded", paid=True, amount_captured=intent["amount"]))
    state.emit("charge.succeeded", charge)
    return _succeed(state, intent, charge)


def debit_bounces(state: StripeState, intent: Json) -> Json:
    """The bank returned the debit. Returns the intent."""
    _demand(intent, "processing")
    message = "The customer's account has insufficient funds to cover this payment."
    charge = state.change(
        state.find("charge", intent["latest_charge"]),
        status="failed",
        failure_code="insufficient_funds",
        failure_message=message,
        outcome=shapes.part("outcome.declined"),
    )
    state.emit("charge.failed", charge)
    code = "payment_intent_payment_attempt_failed"
    error = {"charge": charge["id"], "code": code, "message": message, "type": "invalid_request_error"}
    return _fail(state, intent, charge, error)


def capture(state: StripeState, intent: Json, amount: int | None = None) -> Json:
    """Take all or a part of what was authorised; the rest is released, which Stripe shows as a refund."""
    _demand(intent, "requires_capture")
    taken = intent["amount"] if amount is None else amount
    if not 0 < taken <= intent["amount_capturable"]:
        raise errors.invalid("The amount to capture is more than can be captured", param="amount_to_capture")
    rest = intent["amount"] - taken
    charge = state.find("charge", intent["latest_charge"])
    charge = state.change(charge, captured=True, amount_captured=taken, amount_refunded=rest)
    charge = settle(state, charge)
    state.emit("charge.captured", charge, previous={})
    changed = _succeed(state, intent, charge)
    if rest:
        moneyback.release(state, charge, rest)
    return changed


def cancel(state: StripeState, intent: Json, reason: str | None = None) -> Json:
    """Give the payment up; only before the money is there."""
    if intent["status"] in {"succeeded", "canceled", "processing"}:
        raise errors.unexpected_state(f"You cannot cancel this PaymentIntent: its status is {intent['status']}.")
    canceled = {"canceled_at": state.now(), "cancellation_reason": reason}
    changed = state.change(intent, status="canceled", amount_capturable=0, **canceled)
    state.emit("payment_intent.canceled", changed)
    return changed


def charge_directly(state: StripeState, amount: int, currency: str, **fields: Any) -> Json:
    """A charge of the old Charges API, without a payment intent."""
    details = shapes.part("payment_method_details.card")
    paid = {"status": "succeeded", "paid": True, "amount_captured": amount, "payment_method_details": details}
    charge = state.create("charge", "ch_3", amount=amount, currency=currency, **paid, **fields)
    charge = settle(state, charge)
    state.emit("charge.succeeded", charge)
    return charge


def settle(state: StripeState, charge: Json) -> Json:
    """The charge reaches our balance: its fee is known from now on. Returns the charge; sends nothing."""
    amount = charge["amount_captured"]
    fee = amount * 15 // 1000 + 25
    detail = {"amount": fee, "application": None, "currency": charge["currency"], "type": "stripe_fee"}
    move = state.create(
        "balance_transaction",
        "txn_3",
        amount=amount,
        currency=charge["currency"],
        description=charge["description"],
        fee=fee,
        fee_details=[{**detail, "description": "Stripe processing fees"}],
        net=amount - fee,
        source=charge["id"],
        type="charge" if charge["id"].startswith("ch_") else "payment",
    )
    return state.change(charge, balance_transaction=move["id"])


def settle_later(state: StripeState, intent: Json) -> None:
    """With asynchronous capture, the default, the fee comes with an event of its own, a moment after the success."""
    charge = state.find("charge", intent["latest_charge"])
    if charge["balance_transaction"] is None and charge["status"] == "succeeded" and charge["captured"]:
        state.emit("charge.updated", settle(state, charge), previous={"balance_transaction": None})


def _authorise(state: StripeState, intent: Json, payer: Payer | None) -> Json:
    charge = _charge(state, intent, "card", payer, status="succeeded", paid=True, captured=False)
    state.emit("charge.succeeded", charge)
    held = {"status": "requires_capture", "amount_capturable": intent["amount"], "latest_charge": charge["id"]}
    changed = state.change(intent, **held)
    state.emit("payment_intent.amount_capturable_updated", changed)
    return changed


def _succeed(state: StripeState, intent: Json, charge: Json) -> Json:
    changed = state.change(
        intent,
        status="succeeded",
        amount_received=charge["amount_captured"],
        amount_capturable=0,
        latest_charge=charge["id"],
        last_payment_error=None,
        payment_method=charge["payment_method"],
    )
    state.emit("payment_intent.succeeded", changed)
    return changed


def _fail(state: StripeState, intent: Json, charge: Json, error: Json) -> Json:
    failed = {"status": "requires_payment_method", "latest_charge": charge["id"], "last_payment_error": error}
    changed = state.change(intent, payment_method=None, **failed)
    state.emit("payment_intent.payment_failed", changed)
    return changed


def _charge(state: StripeState, intent: Json, method: Method, payer: Payer | None, **fields: Any) -> Json:
    who = payer or Payer()
    made = state.create(
        "charge",
        "ch_3" if method == "card" else "py_3",
        amount=intent["amount"],
        billing_details={**shapes.part("charge")["billing_details"], "email": who.email, "name": who.name},
        calculated_statement_descriptor="EXAMPLE KFT",
        currency=intent["currency"],
        customer=intent["customer"],
        description=intent["description"],
        metadata=intent["metadata"],
        payment_intent=intent["id"],
        payment_method=state.new_id("pm_1"),
        payment_method_details=shapes.part(f"payment_method_details.{method}"),
        **fields,
    )
    return state.change(made, receipt_url=f"https://pay.stripe.com/receipts/payment/{made['id']}")


def _demand(intent: Json, *statuses: str) -> None:
    if intent["status"] not in statuses:
        raise errors.unexpected_state(f"This PaymentIntent's status is {intent['status']}: this is not possible now.")
