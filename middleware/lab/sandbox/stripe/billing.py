"""Invoices of Stripe Billing and what pays them (recorded stories c0, c1, c2)."""

from typing import Any

from middleware.lab.sandbox.stripe import errors, payments, shapes
from middleware.lab.sandbox.stripe.payments import Payer
from middleware.lab.sandbox.stripe.shapes import Json
from middleware.lab.sandbox.stripe.state import StripeState

_RETRY_AFTER = 3 * 86400


def create_invoice(state: StripeState, customer: Json, currency: str, **fields: Any) -> Json:
    """A draft without lines."""
    made = state.create(
        "invoice",
        "in_1",
        currency=currency,
        customer=customer["id"],
        customer_email=customer["email"],
        customer_name=customer["name"],
        lines=_lines([]),
        **fields,
    )
    state.emit("invoice.created", made)
    return made


def add_line(state: StripeState, invoice: Json, amount: int, description: str) -> Json:
    """Add a line to a draft; returns the line."""
    _demand(invoice, "draft")
    line = shapes.new(
        "line_item",
        id=state.new_id("il_1"),
        amount=amount,
        currency=invoice["currency"],
        description=description,
        invoice=invoice["id"],
        livemode=state.livemode,
        period={"start": state.now(), "end": state.now()},
        subtotal=amount,
    )
    lines = [*invoice["lines"]["data"], line]
    total = sum(item["amount"] for item in lines)
    sums = dict.fromkeys(("subtotal", "subtotal_excluding_tax", "total", "total_excluding_tax"), total)
    owed = {"amount_due": total, "amount_remaining": total}
    state.change(invoice, lines=_lines(lines), **sums, **owed)
    return line


def finalize(state: StripeState, invoice: Json) -> Json:
    """The draft becomes an open invoice with an intent that waits to be paid."""
    _demand(invoice, "draft")
    number = f"A1B2C3D4-{len(state.tables['invoice']):04d}"
    now = state.now()
    finalized = {**invoice["status_transitions"], "finalized_at": now}
    url = f"https://invoice.stripe.com/i/acct_sandbox/{invoice['id']}"
    changed = state.change(
        invoice, number=number, status="open", status_transitions=finalized, effective_at=now, hosted_invoice_url=url
    )
    intent = payments.create_intent(
        state, changed["amount_due"], changed["currency"], customer=changed["customer"], description=f"Invoice {number}"
    )
    state.intent_of_invoice[changed["id"]] = intent["id"]
    state.invoice_of_intent[intent["id"]] = changed["id"]
    state.create(
        "invoice_payment",
        "inpay_1",
        amount_requested=changed["amount_due"],
        currency=changed["currency"],
        invoice=changed["id"],
        payment={"payment_intent": intent["id"], "type": "payment_intent"},
    )
    state.emit("invoice.finalized", changed)
    return changed


def attempt_fails(state: StripeState, invoice: Json, code: str = "insufficient_funds") -> Json:
    """An automatic payment failed; Stripe tries again in three days."""
    _demand(invoice, "open")
    payments.decline(state, intent_of(state, invoice), code)
    retry = state.now() + _RETRY_AFTER
    changed = _attempted(state, invoice, next_payment_attempt=retry)
    state.emit("invoice.payment_failed", changed)
    return changed


def pay(state: StripeState, invoice: Json, payer: Payer | None = None) -> Json:
    """The invoice is paid by card."""
    _demand(invoice, "open")
    now = state.now()
    intent = payments.pay_by_card(state, intent_of(state, invoice), payer)
    link = _payment_of(state, invoice)
    paid = {**link["status_transitions"], "paid_at": now}
    link = state.change(link, amount_paid=invoice["amount_due"], status="paid", status_transitions=paid)
    state.emit("invoice_payment.paid", link)
    changed = _paid(state, _attempted(state, invoice, next_payment_attempt=None))
    payments.settle_later(state, intent)
    return changed


def pay_out_of_band(state: StripeState, invoice: Json) -> Json:
    """The invoice is marked as paid past Stripe (cash, bank transfer)."""
    _demand(invoice, "open")
    payments.cancel(state, intent_of(state, invoice))
    link = _payment_of(state, invoice)
    state.change(link, status="canceled", status_transitions={**link["status_transitions"], "canceled_at": state.now()})
    # From here on the intent is not what paid the invoice.
    state.invoice_of_intent.pop(state.intent_of_invoice.pop(invoice["id"]), None)
    record_payment(state, invoice, invoice["amount_remaining"])
    return _paid(state, invoice)


def receipt_paid(state: StripeState, invoice: Json) -> Json:
    """The receipt of a Checkout Session is paid from its beginning: it has no payment, and nobody attempted one."""
    _demand(invoice, "draft")
    return _paid(state, invoice)


def record_payment(state: StripeState, invoice: Json, amount: int) -> None:
    """Money that came past Stripe is a payment record of the invoice since 2025 (docs/facts/stripe.md section 4)."""
    link = state.create(
        "invoice_payment",
        "inpay_1",
        amount_requested=amount,
        amount_paid=amount,
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"payment_record": f"pr_{invoice['id'][3:]}", "type": "payment_record"},
        status="paid",
    )
    state.emit("invoice_payment.paid", link)


def close_unpaid(state: StripeState, invoice: Json, status: str) -> Json:
    """Nobody will pay it: `void` or `uncollectible`."""
    _demand(invoice, "open")
    moment = {"void": "voided_at", "uncollectible": "marked_uncollectible_at"}[status]
    transitions = {**invoice["status_transitions"], moment: state.now()}
    changed = state.change(invoice, status=status, status_transitions=transitions, next_payment_attempt=None)
    state.emit({"void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}[status], changed)
    return changed


def becomes_overdue(state: StripeState, invoice: Json) -> Json:
    """The due date of an open invoice passed."""
    _demand(invoice, "open")
    state.emit("invoice.overdue", invoice)
    return invoice


def intent_of(state: StripeState, invoice: Json) -> Json:
    """The payment intent that waits for the money of an invoice."""
    return state.find("payment_intent", state.intent_of_invoice.get(invoice["id"]))


def _payment_of(state: StripeState, invoice: Json) -> Json:
    return state.tables["invoice_payment"].having("invoice", invoice["id"])[0]


def _attempted(state: StripeState, invoice: Json, **fields: Any) -> Json:
    return state.change(invoice, attempt_count=invoice["attempt_count"] + 1, attempted=True, **fields)


def _paid(state: StripeState, invoice: Json) -> Json:
    transitions = {**invoice["status_transitions"], "paid_at": state.now()}
    amounts = {"amount_paid": invoice["amount_due"], "amount_remaining": 0}
    changed = state.change(invoice, status="paid", status_transitions=transitions, **amounts)
    state.emit("invoice.paid", changed)
    state.emit("invoice.payment_succeeded", changed)
    return changed


def _lines(data: list[Json]) -> Json:
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": "/v1/invoices/lines"}


def _demand(invoice: Json, status: str) -> None:
    if invoice["status"] != status:
        raise errors.invalid(f"This invoice is {invoice['status']}, not {status}.", code="invoice_not_editable")
