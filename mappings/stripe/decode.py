"""From decoded JSON to records; one function per kind of object, old and new API versions alike.

Facts: docs/facts/stripe.md sections 4 to 6. A field that Stripe removed or added is optional here.
"""

from mappings.stripe.fields import Fields
from mappings.stripe.models import (
    BalanceTransaction,
    Charge,
    Dispute,
    Failure,
    Intent,
    InvoicePayment,
    Person,
    Refund,
    Session,
    StripeInvoice,
)


def read_intent(fields: Fields) -> Intent:
    """A `payment_intent`."""
    status = fields.text("status")
    error = fields.child("last_payment_error")
    return Intent(
        id=fields.text("id"),
        amount=fields.amount("amount"),
        received=_received(fields, status),
        currency=fields.text("currency").lower(),
        status=status,
        created=fields.unix("created"),
        invoice=fields.reference("invoice"),
        failure=Failure(error.optional_text("code"), error.optional_text("message")) if error else None,
        person=Person(fields.reference("customer"), fields.optional_text("receipt_email"), None),
        metadata=fields.texts("metadata"),
    )


def read_charge(fields: Fields) -> Charge:
    """A `charge`, of a card (`ch_`) or of another method (`py_`)."""
    amount = fields.amount("amount")
    is_captured = fields.flag("captured") and fields.optional_text("status") == "succeeded"
    billing = fields.child("billing_details")
    code, message = fields.optional_text("failure_code"), fields.optional_text("failure_message")
    return Charge(
        id=fields.text("id"),
        intent=fields.reference("payment_intent"),
        amount=amount,
        captured=fields.amount("amount_captured", default=amount) if is_captured else 0,
        refunded_hint=fields.amount("amount_refunded", default=0),
        currency=fields.text("currency").lower(),
        status=fields.text("status"),
        created=fields.unix("created"),
        invoice=fields.reference("invoice"),
        balance_transaction=fields.reference("balance_transaction"),
        failure=Failure(code, message) if code or message else None,
        person=_person(fields, billing),
        metadata=fields.texts("metadata"),
    )


def read_refund(fields: Fields) -> Refund:
    """A `refund`; a status that is null counts as pending."""
    return Refund(
        id=fields.text("id"),
        amount=fields.amount("amount"),
        currency=fields.text("currency").lower(),
        status=fields.optional_text("status") or "pending",
        created=fields.unix("created"),
        intent=fields.reference("payment_intent"),
        charge=fields.reference("charge"),
        reason=fields.optional_text("reason"),
        failure_reason=fields.optional_text("failure_reason"),
    )


def read_dispute(fields: Fields) -> Dispute:
    """A `dispute`."""
    moves = [(move.signed("amount"), move.text("currency").lower()) for move in fields.children("balance_transactions")]
    return Dispute(
        id=fields.text("id"),
        amount=fields.amount("amount"),
        currency=fields.text("currency").lower(),
        status=fields.text("status"),
        created=fields.unix("created"),
        intent=fields.reference("payment_intent"),
        charge=fields.reference("charge"),
        reason=fields.optional_text("reason"),
        withdrawn=sum(-amount for amount, _ in moves if amount < 0),
        reinstated=sum(amount for amount, _ in moves if amount > 0),
        moved_currency=moves[0][1] if moves else "",
    )


def read_session(fields: Fields) -> Session:
    """A `checkout.session`."""
    currency = fields.optional_text("currency")
    return Session(
        id=fields.text("id"),
        intent=fields.reference("payment_intent"),
        amount=fields.amount("amount_total", default=0),
        currency=currency.lower() if currency else None,
        payment_status=fields.text("payment_status"),
        status=fields.optional_text("status"),
        created=fields.unix("created"),
        invoice=fields.reference("invoice"),
        payment_link=fields.reference("payment_link"),
        client_reference=(fields.optional_text("client_reference_id") or "").strip() or None,
        person=_person(fields, fields.child("customer_details")),
        metadata=fields.texts("metadata"),
    )


def read_invoice(fields: Fields) -> StripeInvoice:
    """An `invoice` of Stripe Billing, before and after 2025-03-31."""
    transitions = fields.child("status_transitions")
    return StripeInvoice(
        id=fields.text("id"),
        number=fields.optional_text("number"),
        currency=fields.text("currency").lower(),
        status=fields.optional_text("status") or "draft",
        amount_due=fields.amount("amount_due", default=0),
        amount_paid=fields.amount("amount_paid", default=0),
        out_of_band=out_of_band(fields),
        unexplained=_unexplained(fields),
        attempt_count=fields.count("attempt_count"),
        next_attempt=fields.optional_unix("next_payment_attempt"),
        created=fields.unix("created"),
        paid_at=transitions.optional_unix("paid_at") if transitions else None,
        intent=fields.reference("payment_intent"),
        charge=fields.reference("charge"),
        person=Person(
            fields.reference("customer"), fields.optional_text("customer_email"), fields.optional_text("customer_name")
        ),
        metadata=fields.texts("metadata"),
    )


def out_of_band(fields: Fields) -> int | None:
    """How much of a Stripe invoice was paid past Stripe, as far as the invoice itself says so; None: it says nothing.

    Newest versions may say it (`amount_paid_off_stripe`, also of a part), old ones have a flag (`paid_out_of_band`) and
    leave the amount out of `amount_paid`.
    """
    said = fields.amount("amount_paid_off_stripe", default=0)
    if said:
        return said
    flag = fields.optional_flag("paid_out_of_band")
    if flag is None:
        return None
    if not flag or fields.optional_text("status") != "paid":
        return 0
    return fields.amount("amount_paid", default=0) or fields.amount("amount_due", default=0)


def _unexplained(fields: Fields) -> int:
    """What was paid of an invoice that no payment was attempted for, that names none and does not say how."""
    if fields.optional_text("status") != "paid" or out_of_band(fields) is not None:
        return 0
    was_attempted = fields.flag("attempted") or fields.count("attempt_count") > 0
    has_payment = fields.reference("payment_intent") or fields.reference("charge") or fields.children("payments")
    return 0 if was_attempted or has_payment else fields.amount("amount_paid", default=0)


def read_invoice_payment(fields: Fields) -> InvoicePayment:
    """An `invoice_payment`."""
    payment = fields.child("payment")
    transitions = fields.child("status_transitions")
    return InvoicePayment(
        id=fields.text("id"),
        invoice=fields.reference("invoice") or fields.text("invoice"),
        intent=payment.reference("payment_intent") if payment else None,
        charge=payment.reference("charge") if payment else None,
        is_record=payment is not None and payment.optional_text("type") == "payment_record",
        status=fields.text("status"),
        amount=fields.amount("amount_paid", default=0),
        currency=fields.text("currency").lower(),
        paid_at=transitions.optional_unix("paid_at") if transitions else None,
    )


def read_balance_transaction(fields: Fields) -> BalanceTransaction:
    """A `balance_transaction` of a charge; what is strange about it is left out, for it decides about no money."""
    return BalanceTransaction(
        id=fields.text("id"),
        fee=fields.whole_or_none("fee"),
        currency=(fields.text_or_none("currency") or "").lower(),
        created=fields.whole_or_none("created") or 0,
    )


def _received(fields: Fields, status: str) -> int | None:
    if fields.data.get("amount_received") is None and (fields.child("latest_charge") or fields.children("charges")):
        return None
    return fields.amount("amount_received", default=None if status == "succeeded" else 0)


def _person(fields: Fields, details: Fields | None) -> Person:
    return Person(
        customer=fields.reference("customer"),
        email=details.optional_text("email") if details else None,
        name=details.optional_text("name") if details else None,
    )
