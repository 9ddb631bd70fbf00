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
    """What a charge did to our balance at Stripe; `currency` is the balance's and may differ from the payment's.

    `fee` is None when it cannot be read: a fee is a note and decides about no money.
    """

    id: str
    fee: int | None
    currency: str
    created: int


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment intent: `received` is the money, `amount` only what was asked for.

    `received` is None when only the charges inside the intent have it (imitations of Stripe leave it out).
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
    """A dispute of a charge, for all or a part of its money.

    `withdrawn` is what its balance transactions took from us so far, `reinstated` what they gave back, both in minor
    units of `moved_currency` (lower case), that of our balance. All are 0 and "" while Stripe shows none.
    """

    id: str
    amount: int
    currency: str
    status: str
    created: int
    intent: str | None
    charge: str | None
    reason: str | None
    withdrawn: int
    reinstated: int
    moved_currency: str


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
    """An invoice of Stripe Billing.

    `out_of_band` is what Stripe says was paid past it (cash, bank transfer), 0 when it says that nothing was, None when
    it says neither. `unexplained` is what was paid while nothing shows by what: the receipt of a Checkout payment looks
    so, and money past Stripe in some API versions.
    """

    id: str
    number: str | None
    currency: str
    status: str
    amount_due: int
    amount_paid: int
    out_of_band: int | None
    unexplained: int
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
    """The link between an invoice of Stripe Billing and the payment that paid it (API versions since 2025).

    `is_record` tells that it is a payment record: money that came past Stripe.
    """

    id: str
    invoice: str
    intent: str | None
    charge: str | None
    is_record: bool
    status: str
    amount: int
    currency: str
    paid_at: int | None
