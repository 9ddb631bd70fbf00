"""How money moves between invoices, payments and the sums of a client (facts sections 8 and 9)."""

from decimal import Decimal
from typing import Any

from middleware.lab.sandbox.invoiceninja import documents, records
from middleware.lab.sandbox.invoiceninja.hashids import encode
from middleware.lab.sandbox.invoiceninja.shapes import PAYMENT
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import ZERO, decimal, is_number, number, plus_days

DRAFT, SENT, PARTIAL, PAID, CANCELLED = "1", "2", "3", "4", "5"
MANUAL_REFERENCE = "Manual entry"


def change_client(state: NinjaState, client_id: str, **deltas: Decimal) -> None:
    """Add to the sums of a client: balance, paid_to_date, payment_balance, credit_balance."""
    client = state.tables["clients"].get(client_id)
    if client is not None:
        sums = {name: number(decimal(client[name]) + delta) for name, delta in deltas.items()}
        records.change(state, "clients", client, sums)


def status_for(balance: Decimal, amount: Decimal) -> str:
    """Judge an invoice that is no draft by its balance alone, as the server does (the trap of cancelled ones)."""
    if balance == 0:
        return PAID
    return PARTIAL if 0 < balance < amount else SENT


def first_number(state: NinjaState, client_id: str) -> str:
    """The number that a new invoice gets; "" where drafts have none (counter_number_applied "when_sent")."""
    client = state.tables["clients"].get(client_id)
    is_late = state.client_setting(client, "counter_number_applied") == "when_sent"
    return "" if is_late else state.next_number("invoice")


def mark_sent(state: NinjaState, invoice: Row) -> None:
    """Make a draft sent: it gets its balance and, from the payment terms, a due date."""
    if invoice["status_id"] != DRAFT:
        return
    values: dict[str, Any] = {"status_id": SENT, "balance": invoice["amount"]}
    if not invoice["due_date"]:
        values["due_date"] = _due_date(state, invoice)
    sent_at = state.clock().strftime("%Y-%m-%d %H:%M:%S")
    values["invitations"] = [{**invitation, "sent_date": sent_at} for invitation in invoice["invitations"]]
    if not invoice["number"]:
        values["number"] = state.next_number("invoice")
    records.change(state, "invoices", invoice, values)
    change_client(state, invoice["client_id"], balance=decimal(invoice["amount"]))


def new_payment(state: NinjaState, client_id: str, values: dict[str, Any], key: str | None = None) -> Row:
    """Insert a payment with nothing applied yet and raise the client's sums."""
    own, company = documents.currency_id(state, client_id), str(state.setting("currency_id"))
    currency = {"currency_id": own, "exchange_currency_id": company if own != company else ""}
    start = {**PAYMENT, **records.born(state), **currency}
    payment = state.tables["payments"].add({**start, **values, "client_id": client_id}, {"idempotency_key": key or ""})
    change_client(state, client_id, paid_to_date=decimal(payment["amount"]))
    return payment


def apply_payment(state: NinjaState, payment: Row, invoice: Row, amount: Decimal) -> None:
    """Use part of a payment for an invoice; a draft becomes sent first."""
    mark_sent(state, invoice)
    balance = decimal(invoice["balance"]) - amount
    values = {
        "balance": number(balance),
        "paid_to_date": number(decimal(invoice["paid_to_date"]) + amount),
        "status_id": status_for(balance, decimal(invoice["amount"])),
    }
    records.change(state, "invoices", invoice, values)
    change_client(state, invoice["client_id"], balance=-amount)
    add_paymentable(state, payment, {"invoice_id": invoice.id}, amount)
    linked = state.payments_of_invoice.setdefault(invoice.id, [])
    if payment not in linked:
        linked.append(payment)


def reopen(state: NinjaState, invoice: Row, amount: Decimal) -> None:
    """Take money back from an invoice: it is partially paid or just sent again, judged by its balance alone."""
    balance = decimal(invoice["balance"]) + amount
    values = {
        "balance": number(balance),
        "paid_to_date": number(decimal(invoice["paid_to_date"]) - amount),
        "status_id": SENT if balance == decimal(invoice["amount"]) else PARTIAL,
    }
    records.change(state, "invoices", invoice, values)
    change_client(state, invoice["client_id"], balance=amount)


def add_paymentable(state: NinjaState, payment: Row, target: dict[str, str], amount: Decimal) -> None:
    """Note on a payment what a part of it was used for."""
    state.paymentable_count += 1
    stamps = {"created_at": state.now(), "updated_at": state.now(), "archived_at": 0}
    item = {"id": encode(state.paymentable_count), **target, "amount": number(amount), "refunded": 0, **stamps}
    records.change(state, "payments", payment, {"paymentables": [*payment["paymentables"], item]})


def pay_invoice(state: NinjaState, invoice: Row, amount: Decimal, day: str, reference: str) -> None:
    """Record a payment of an invoice by an action or flag: without our number or idempotency key."""
    mark_sent(state, invoice)
    # More than the balance is accepted here; "applied" then stops at the balance (facts section 8).
    applied = min(amount, decimal(invoice["balance"]))
    values = {
        "amount": number(amount),
        "applied": number(applied),
        "date": day,
        "number": state.next_number("payment"),
        "transaction_reference": reference or MANUAL_REFERENCE,
    }
    payment = new_payment(state, invoice["client_id"], values)
    change_client(state, invoice["client_id"], payment_balance=amount - applied)
    apply_payment(state, payment, invoice, amount)


def _due_date(state: NinjaState, invoice: Row) -> str:
    client = state.tables["clients"].get(invoice["client_id"])
    terms = None if client is None else state.client_setting(client, "payment_terms")
    return plus_days(invoice["date"], int(decimal(terms))) if is_number(terms) else ""


def unapplied(payment: Row) -> Decimal:
    """Give what of a payment is not used for any invoice."""
    return max(ZERO, decimal(payment["amount"]) - decimal(payment["applied"]))
