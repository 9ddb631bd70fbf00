"""Folds events, in any order and any repetition, or answers of the API into the facts about one payment.

Several events report the same money (docs/facts/stripe.md section 5). Nothing here guesses: what is unknown is None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mappings.stripe.collected import Collected
from mappings.stripe.facts import Labels, MetadataSource, PaymentFacts
from mappings.stripe.identity import distinct, identify
from mappings.stripe.models import BalanceTransaction, Charge, Dispute, Intent, Person, Session, StripeInvoice
from mappings.stripe.outcome import (
    failed_attempt,
    overdue_since,
    paid_at,
    paid_past_stripe,
    received,
    status_of,
    unexplained,
)
from mappings.stripe.refunds import cumulative_refund, foreign_currency, released, without_release

OWN_GATEWAY_KEY = "payment_hash"


def fold(events: Iterable[Mapping[str, Any]]) -> PaymentFacts:
    """The facts in decoded events of the same money, the same for every order and repetition of them.

    Raises:
        BadStripeObject: an event cannot be read, or the events belong to different payments.
    """
    return from_api(None, (), events=events)


def from_api(
    intent: Mapping[str, Any] | None,
    charges: Iterable[Mapping[str, Any]] = (),
    refunds: Iterable[Mapping[str, Any]] = (),
    disputes: Iterable[Mapping[str, Any]] = (),
    sessions: Iterable[Mapping[str, Any]] = (),
    *,
    invoice: Mapping[str, Any] | None = None,
    others: Iterable[Mapping[str, Any]] = (),
    events: Iterable[Mapping[str, Any]] = (),
) -> PaymentFacts:
    """The facts in the API's objects, which win over `events`; expanded objects inside them count too.

    `others` takes objects of any kind (`invoice_payment`, `balance_transaction`). Events still say when it happened.

    Raises:
        BadStripeObject: something cannot be read, or the objects belong to different payments.
    """
    seen = Collected()
    for event in events:
        seen.add_event(event)
    singles = [one for one in (intent, invoice) if one is not None]
    for answer in (*singles, *charges, *refunds, *disputes, *sessions, *others):
        seen.add_object(answer)
    return _facts(seen)


def _facts(seen: Collected) -> PaymentFacts:
    who = identify(seen)
    status = status_of(seen, who)
    intent, sessions = seen.get(Intent, who.intent), seen.all(Session)
    labels = tuple(_labels(seen))
    return PaymentFacts(
        identity=who.key,
        intent=who.intent,
        charges=who.charges,
        currency=who.currency.upper() if who.currency else None,
        asked=who.asked,
        received=received(seen, who),
        released=released(seen, intent),
        unexplained=unexplained(seen, who),
        past_stripe=paid_past_stripe(seen, who),
        status=status,
        paid_at=paid_at(seen, who) if status == "succeeded" else None,
        refunds=without_release(seen, intent),
        cumulative_refund=cumulative_refund(seen),
        disputes=seen.all(Dispute),
        failure=failed_attempt(seen, who, status),
        overdue_since=overdue_since(seen, who, status),
        fee=_fee(seen),
        person=_person(seen),
        labels=labels,
        client_references=distinct(session.client_reference for session in sessions),
        sessions=distinct(session.id for session in sessions),
        payment_links=distinct(session.payment_link for session in sessions),
        stripe_invoices=who.invoices,
        stripe_invoice=who.invoice,
        own_gateway=any(label.value(OWN_GATEWAY_KEY) for label in labels),
        livemode=next(iter(seen.livemode)) if len(seen.livemode) == 1 else None,
        problems=foreign_currency(seen, who.currency),
    )


def _fee(seen: Collected) -> BalanceTransaction | None:
    captured = (charge for charge in seen.all(Charge) if charge.captured)
    known = (seen.get(BalanceTransaction, charge.balance_transaction) for charge in captured)
    return next((fee for fee in known if fee), None)


def _person(seen: Collected) -> Person:
    """Who paid: each detail from the object that knows it best."""
    intents = [intent.person for intent in seen.all(Intent)]
    charges = [charge.person for charge in seen.all(Charge)]
    sessions = [session.person for session in seen.all(Session)]
    invoices = [invoice.person for invoice in seen.all(StripeInvoice)]
    by_trust = [*charges, *sessions, *invoices, *intents]
    return Person(
        customer=_first(person.customer for person in (*intents, *by_trust)),
        email=_first(person.email for person in by_trust),
        name=_first(person.name for person in by_trust),
    )


def _labels(seen: Collected) -> Iterator[Labels]:
    """Metadata in the order of their weight: the payment's own before that of what led to it."""
    sources: Sequence[tuple[MetadataSource, type[Charge | Intent | Session | StripeInvoice]]] = (
        ("payment_intent", Intent),
        ("charge", Charge),
        ("checkout_session", Session),
        ("stripe_invoice", StripeInvoice),
    )
    for source, kind in sources:
        yield from (Labels(source, record.id, record.metadata) for record in seen.all(kind) if record.metadata)


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)
