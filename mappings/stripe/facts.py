"""What is true about one payment, from any source: the result of folding events or of reading the API."""

from dataclasses import dataclass, replace
from typing import Literal

from mappings.stripe.models import BalanceTransaction, Dispute, Metadata, Person, Refund, StripeInvoice

PaymentStatus = Literal[
    "succeeded",
    "processing",
    "authorized",
    "incomplete",
    "failed",
    "canceled",
    "by_its_payments",
    "unexplained",
]
MetadataSource = Literal["payment_intent", "charge", "checkout_session", "stripe_invoice"]


@dataclass(frozen=True, slots=True)
class Labels:
    """The metadata of one object; `source` and `id` say where a person finds it at Stripe."""

    source: MetadataSource
    id: str
    pairs: Metadata

    def value(self, key: str) -> str | None:
        """The value under a key, without surrounding blanks; None when it is missing or blank."""
        return dict(self.pairs).get(key)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The newest failed attempt of a payment that is still not paid. Times in unix seconds."""

    code: str | None
    message: str | None
    attempt_count: int
    next_attempt_at: int | None
    failed_at: int | None


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """One payment at Stripe. Amounts are minor units of `currency` (upper case), times unix seconds.

    `identity` is the payment intent (`pi_`), for the direct Charges API the charge (`ch_`, `py_`), and for what was
    paid past Stripe the Stripe invoice (`in_`). `received` is the money that arrived, `asked` what was asked for.
    `released` is the rest of a partial capture: never money. `refunds` leave out the release. `cumulative_refund` is
    what the charge says in API versions that send no refund objects; else None. Status `by_its_payments` is an invoice
    of Stripe whose money comes with payments of their own; `unexplained` one that is paid while nothing shows by what:
    then `unexplained` is the amount it says, which becomes money only when a person says so. `past_stripe` is what was
    paid of the Stripe invoice past Stripe, be it this payment or beside it.
    `labels` are the metadata in the order of their weight. `problems` are contradictions that only a person can judge.
    """

    identity: str
    intent: str | None
    charges: tuple[str, ...]
    currency: str | None
    asked: int
    received: int
    released: int
    unexplained: int
    past_stripe: int
    status: PaymentStatus
    paid_at: int | None
    refunds: tuple[Refund, ...]
    cumulative_refund: int | None
    disputes: tuple[Dispute, ...]
    failure: FailedAttempt | None
    overdue_since: int | None
    fee: BalanceTransaction | None
    person: Person
    labels: tuple[Labels, ...]
    client_references: tuple[str, ...]
    sessions: tuple[str, ...]
    payment_links: tuple[str, ...]
    stripe_invoices: tuple[str, ...]
    stripe_invoice: StripeInvoice | None
    own_gateway: bool
    livemode: bool | None
    problems: tuple[str, ...]

    def as_money(self) -> "PaymentFacts":
        """The same facts once a person has said that what is unexplained is money that came past Stripe."""
        paid_at = self.stripe_invoice.paid_at if self.stripe_invoice else None
        return replace(self, received=self.unexplained, unexplained=0, status="succeeded", paid_at=paid_at)

    @property
    def references(self) -> tuple[str, ...]:
        """Every id under which Invoice Ninja may already hold this money: look for all before creating."""
        ids = [self.identity, *([self.intent] if self.intent else []), *self.charges]
        return tuple(dict.fromkeys(ids))
