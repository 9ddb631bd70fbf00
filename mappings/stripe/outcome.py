"""The state of a payment: the money that arrived, when, and why an attempt failed.

One sign of success is enough, whichever object gives it: a success is final at Stripe, and the events of earlier failed
attempts may arrive after it (docs/facts/stripe.md section 5).
"""

from collections.abc import Iterator

from mappings.stripe.collected import Collected
from mappings.stripe.facts import FailedAttempt, PaymentStatus
from mappings.stripe.identity import Identity, invoice_payments
from mappings.stripe.models import BalanceTransaction, Charge, Failure, Intent, InvoicePayment, Session

_INTENT_WORDS: dict[str, PaymentStatus] = {
    "processing": "processing",
    "requires_capture": "authorized",
    "canceled": "canceled",
}
_CHARGE_WORDS: dict[str, PaymentStatus] = {"pending": "processing", "failed": "failed", "succeeded": "authorized"}


def received(seen: Collected, who: Identity) -> int:
    """The money that arrived, in minor units, as the object nearest to it tells."""
    intent = seen.get(Intent, who.intent)
    if intent and intent.status == "succeeded" and intent.received is not None:
        return intent.received
    captured = sum(charge.captured for charge in seen.all(Charge))
    return captured or _received_by_others(seen, who)


def status_of(seen: Collected, who: Identity) -> PaymentStatus:
    """The state of the payment in one word."""
    if received(seen, who):
        return "succeeded"
    if unexplained(seen, who):
        return "unexplained"
    word = _by_intent(seen, who) or _by_charge(seen) or _by_session(seen) or _by_invoice(who) or "incomplete"
    return "failed" if word == "incomplete" and _invoice_failed(seen, who) else word


def paid_at(seen: Collected, who: Identity) -> int | None:
    """When the money arrived; the most direct witness counts."""
    return next((min(times) for times in _witnesses(seen, who) if times), None)


def failed_attempt(seen: Collected, who: Identity, status: PaymentStatus) -> FailedAttempt | None:
    """The newest failed attempt, unless the payment went on since."""
    if status != "failed":
        return None
    intent, invoice = seen.get(Intent, who.intent), who.invoice
    failure = (intent.failure if intent else None) or _charge_failure(seen) or Failure(None, None)
    return FailedAttempt(
        code=failure.code,
        message=failure.message,
        attempt_count=invoice.attempt_count if invoice else 0,
        next_attempt_at=invoice.next_attempt if invoice else None,
        failed_at=max(_failure_times(seen, who), default=None),
    )


def overdue_since(seen: Collected, who: Identity, status: PaymentStatus) -> int | None:
    """When an open Stripe invoice became overdue: it said so, or a payment of it failed. None when it is healed."""
    if who.invoice is None or not who.invoice.is_open or status in {"succeeded", "processing"}:
        return None
    times = seen.times("invoice.payment_failed", who.invoice.id) | seen.times("invoice.overdue", who.invoice.id)
    if not times and status == "failed":
        times = set(_failure_times(seen, who)) or {who.invoice.created}
    return min(times, default=None)


def _received_by_others(seen: Collected, who: Identity) -> int:
    """What sessions and invoices say about the money while neither the intent nor a charge does."""
    if who.intent or who.charges:
        sessions = max((session.amount for session in _paid_sessions(seen)), default=0)
        links = sum(link.amount for link in invoice_payments(seen, who.intent) if link.status == "paid")
        return sessions or links or _paid_by_old_invoice(who)
    return paid_past_stripe(seen, who)


def unexplained(seen: Collected, who: Identity) -> int:
    """What a Stripe invoice says was paid, in minor units, while nothing shows by which money; 0 when that is known."""
    invoice = who.invoice
    if who.intent or who.charges or invoice is None or seen.paid_past_stripe(invoice) is not None:
        return 0
    links = [link for link in seen.all(InvoicePayment) if link.invoice == invoice.id]
    named = any(session.invoice == invoice.id for session in seen.all(Session))
    return 0 if links or named else invoice.unexplained


def paid_past_stripe(seen: Collected, who: Identity) -> int:
    """What was paid of the Stripe invoice past Stripe, in minor units."""
    if who.invoice is not None:
        return seen.paid_past_stripe(who.invoice) or 0
    # Only the payment records themselves were told of so far.
    return sum(link.amount for link in seen.all(InvoicePayment) if link.is_record and link.status == "paid")


def _paid_by_old_invoice(who: Identity) -> int:
    """Invoices before 2025-03-31 name the payment that paid them."""
    invoice = who.invoice
    if invoice is None or invoice.status != "paid":
        return 0
    names_it = (invoice.intent is not None and invoice.intent == who.intent) or invoice.charge in who.charges
    return invoice.amount_paid if names_it else 0


def _paid_sessions(seen: Collected) -> Iterator[Session]:
    return (session for session in seen.all(Session) if session.intent and session.payment_status == "paid")


def _by_intent(seen: Collected, who: Identity) -> PaymentStatus | None:
    intent = seen.get(Intent, who.intent)
    if intent is None:
        return None
    if intent.status == "requires_payment_method" and intent.failure:
        return "failed"
    return _INTENT_WORDS.get(intent.status, "incomplete")


def _by_charge(seen: Collected) -> PaymentStatus | None:
    charges = seen.all(Charge)
    if not charges:
        return None
    newest = max(charges, key=lambda charge: (charge.created, charge.id))
    return _CHARGE_WORDS.get(newest.status, "incomplete")


def _by_session(seen: Collected) -> PaymentStatus | None:
    sessions = [session for session in seen.all(Session) if session.intent]
    if any(seen.times("checkout.session.async_payment_failed", session.id) for session in sessions):
        return "failed"
    return "processing" if any(session.status == "complete" for session in sessions) else None


def _by_invoice(who: Identity) -> PaymentStatus | None:
    if who.invoice is None or who.invoice.is_open:
        return None
    return "by_its_payments" if who.invoice.status == "paid" else "canceled"


def _invoice_failed(seen: Collected, who: Identity) -> bool:
    invoice = who.invoice
    return invoice is not None and invoice.is_open and bool(seen.times("invoice.payment_failed", invoice.id))


def _charge_failure(seen: Collected) -> Failure | None:
    failed = [charge for charge in seen.all(Charge) if charge.failure]
    return max(failed, key=lambda charge: (charge.created, charge.id)).failure if failed else None


def _failure_times(seen: Collected, who: Identity) -> Iterator[int]:
    yield from seen.times("payment_intent.payment_failed", who.intent or "")
    for charge in who.charges:
        yield from seen.times("charge.failed", charge)
    for session in seen.all(Session):
        yield from seen.times("checkout.session.async_payment_failed", session.id)
    for invoice in who.invoices:
        yield from seen.times("invoice.payment_failed", invoice)


def _witnesses(seen: Collected, who: Identity) -> Iterator[set[int]]:
    """Times of success, the most direct witness first: events, then the objects' own times."""
    yield seen.times("payment_intent.succeeded", who.intent or "")
    for event_type in ("charge.captured", "charge.succeeded"):
        yield {time for charge in seen.all(Charge) if charge.captured for time in seen.times(event_type, charge.id)}
    for event_type in ("checkout.session.async_payment_succeeded", "checkout.session.completed"):
        yield {time for session in _paid_sessions(seen) for time in seen.times(event_type, session.id)}
    yield {link.paid_at for link in invoice_payments(seen, who.intent) if link.paid_at}
    yield {who.invoice.paid_at} if who.invoice and who.invoice.paid_at else set()
    captured = [charge for charge in seen.all(Charge) if charge.captured]
    moves = [seen.get(BalanceTransaction, charge.balance_transaction) for charge in captured]
    yield {move.created for move in moves if move}
    yield {charge.created for charge in captured}
    intent = seen.get(Intent, who.intent)
    yield {intent.created} if intent else set()
