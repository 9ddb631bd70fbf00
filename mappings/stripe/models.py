"""The few fields of Stripe's objects that decide about money, as frozen records.

Amounts are minor units of `currency` (lower case, as Stripe writes it), times are unix seconds. Status words are
Stripe's own and stay text: Stripe adds new ones every month (docs/facts/stripe.md section 4).
"""

from dataclasses import dataclass

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt to pay failed."""

    code: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Who paid, as far as one object tells."""

    customer: str | None
    email: str | None
    name: str | None


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """What a charge did to our balance at Stripe; `currency` is the balance's and may differ from the payment's."""

    id: str
    fee: int
    currency: str
    created: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment intent: `received` is the money, `amount` only what was asked for.

    `received` is None when only the charges inside the intent tell it (imitations of Stripe leave it out).
    """

    id: str
    amount: int
    received: int | None
    currency: str
    status: str
    created: int
    invoice: str | None
    failure: Failure | None
    person: Person
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge: one attempt to take the money. `amount` was authorised, `captured` was taken."""

    id: str
    intent: str | None
    amount: int
    captured: int
    refunded_hint: int
    currency: str
    status: str
    created: int
    invoice: str | None
    balance_transaction: str | None
    failure: Failure | None
    person: Person
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund; its `status` may change for weeks, from succeeded to failed too."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    intent: str | None
    charge: str | None
    reason: str | None
    failure_reason: str | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A dispute of a charge, for all or a part of its money."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    intent: str | None
    charge: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A Checkout Session, opened by a payment link or by us."""

    id: str
    intent: str | None
    amount: int
    currency: str | None
    payment_status: str
    status: str | None
    created: int
    invoice: str | None
    payment_link: str | None
    client_reference: str | None
    person: Person
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """An invoice of Stripe Billing. `out_of_band` is what was paid past Stripe (cash, bank transfer)."""

    id: str
    number: str | None
    currency: str
    status: str
    amount_due: int
    amount_paid: int
    out_of_band: int
    attempt_count: int
    next_attempt: int | None
    created: int
    paid_at: int | None
    intent: str | None
    charge: str | None
    person: Person
    metadata: Metadata

    @property
    def is_open(self) -> bool:
        """Whether somebody still owes it."""
        return self.status not in {"paid", "void", "uncollectible", "deleted"}


@dataclass(frozen=True, slots=True)
class InvoicePayment:
    """The link between an invoice of Stripe Billing and the payment that paid it (API versions since 2025)."""

    id: str
    invoice: str
    intent: str | None
    charge: str | None
    status: str
    amount: int
    currency: str
    paid_at: int | None
