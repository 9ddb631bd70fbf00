"""Which money the collected objects are about: the payment intent, else the charge, else the Stripe invoice.

Source: docs/facts/stripe.md section 5.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mappings.stripe.collected import Collected
from mappings.stripe.fields import BadStripeObject
from mappings.stripe.models import Charge, Dispute, Intent, InvoicePayment, Refund, Session, StripeInvoice


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose money it is. `currency` is lower case; `asked` what was asked for, in minor units."""

    key: str
    intent: str | None
    charges: tuple[str, ...]
    currency: str | None
    asked: int
    invoices: tuple[str, ...]
    invoice: StripeInvoice | None


def identify(seen: Collected) -> Identity:
    """Find the one payment that everything belongs to.

    Raises:
        BadStripeObject: the objects belong to several payments, or to none.
    """
    intent = _only("payment intents", _named_intents(seen)) or _linked_intent(seen)
    charges = distinct(_charges(seen))
    if intent is None:
        _only("charges", charges)
    invoices = distinct(_invoices(seen, intent))
    keys = [intent, *charges, *invoices, *(session.id for session in seen.all(Session))]
    key = next((key for key in keys if key), None)
    if key is None:
        raise BadStripeObject("these events", "", "are not about a payment")
    currency, asked = _price(seen, intent)
    return Identity(key, intent, charges, currency, asked, invoices, _invoice(seen, invoices))


def invoice_payments(seen: Collected, intent: str | None) -> tuple[InvoicePayment, ...]:
    """The links between Stripe's invoices and this payment; an invoice may have been paid by several."""
    links = seen.all(InvoicePayment)
    return tuple(link for link in links if link.intent == intent) if intent else links


def distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    """The values that are there, each once, sorted."""
    return tuple(sorted({value for value in values if value}))


def _named_intents(seen: Collected) -> Iterator[str | None]:
    yield from (intent.id for intent in seen.all(Intent))
    records: list[Charge | Refund | Dispute | Session]
    records = [*seen.all(Charge), *seen.all(Refund), *seen.all(Dispute), *seen.all(Session)]
    yield from (record.intent for record in records)
    # What was paid past Stripe is not the money of the intent that Stripe had prepared for it.
    yield from (invoice.intent for invoice in seen.all(StripeInvoice) if not seen.paid_past_stripe(invoice))


def _linked_intent(seen: Collected) -> str | None:
    """The intent that only the payments of an invoice name; several of them are money of their own.

    So is what came past Stripe beside it: then the invoice itself is the payment that is looked at.
    """
    links = seen.all(InvoicePayment)
    if any(link.is_record for link in links):
        return None
    linked = distinct(link.intent for link in links)
    return linked[0] if len(linked) == 1 else None


def _charges(seen: Collected) -> Iterator[str | None]:
    yield from (charge.id for charge in seen.all(Charge))
    moves: list[Refund | Dispute] = [*seen.all(Refund), *seen.all(Dispute)]
    yield from (move.charge for move in moves)
    yield from (invoice.charge for invoice in seen.all(StripeInvoice) if not seen.paid_past_stripe(invoice))


def _invoices(seen: Collected, intent: str | None) -> Iterator[str | None]:
    yield from (invoice.id for invoice in seen.all(StripeInvoice))
    records: list[Intent | Charge | Session] = [*seen.all(Intent), *seen.all(Charge), *seen.all(Session)]
    yield from (record.invoice for record in records)
    yield from (link.invoice for link in invoice_payments(seen, intent))


def _invoice(seen: Collected, ids: tuple[str, ...]) -> StripeInvoice | None:
    """The newest Stripe invoice; a payment has one, but nothing breaks when Stripe says otherwise."""
    known = [invoice for key in ids if (invoice := seen.get(StripeInvoice, key))]
    return max(known, key=lambda invoice: (invoice.created, invoice.id), default=None)


def _price(seen: Collected, intent: str | None) -> tuple[str | None, int]:
    """Currency and amount asked for, from the object that is nearest to the money."""
    if known := seen.get(Intent, intent):
        return known.currency, known.amount
    candidates: list[tuple[str | None, int]] = [
        *((charge.currency, charge.amount) for charge in seen.all(Charge)),
        *((session.currency, session.amount) for session in seen.all(Session)),
        *((link.currency, link.amount) for link in invoice_payments(seen, intent)),
        *((invoice.currency, invoice.amount_due) for invoice in seen.all(StripeInvoice)),
        *((refund.currency, 0) for refund in seen.all(Refund)),
        *((dispute.currency, 0) for dispute in seen.all(Dispute)),
    ]
    return candidates[0] if candidates else (None, 0)


def _only(what: str, values: Iterable[str | None]) -> str | None:
    found = distinct(values)
    if len(found) > 1:
        raise BadStripeObject("these events", "", f"belong to several {what}: {', '.join(found[:5])}")
    return found[0] if found else None
