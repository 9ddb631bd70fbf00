"""What reconciling with Stripe needs from the world, and what it tells of."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Protocol

from handlers.ports.billing import Json, PaymentRecord
from mappings.invoiceninja.models import Payment

SLOW_MONEY = timedelta(days=14)
"""A debit may take this long: payments that began so much earlier are looked at too."""

LATE_REFUNDS = timedelta(days=35)
"""A refund may still fail a month after it was made (docs/facts/stripe.md section 6)."""

LONG_DISPUTES = timedelta(days=120)
"""A dispute may be decided months after it was made; Stripe lists it by its beginning."""

Handling = Literal["put", "under_way", "told_before"]


@dataclass(frozen=True, slots=True)
class StripeScope:
    """What a run looks at: everything that moved since. What moved less than `settling` ago may be on its way to us."""

    since: datetime
    settling: timedelta = timedelta(0)
    most_reads: int = 500


@dataclass(frozen=True, slots=True)
class BookRow:
    """A payment in Invoice Ninja, as far as it is compared."""

    number: str
    amount: Decimal
    refunded: Decimal
    is_deleted: bool


def row_of(payment: Payment) -> BookRow:
    """A payment as it is compared."""
    return BookRow(payment.number, payment.amount, payment.refunded, payment.is_deleted)


@dataclass(frozen=True, slots=True)
class StripeDifference:
    """A payment that Invoice Ninja does not hold as Stripe does. `shown` is its object at Stripe.

    `content` marks what differs: the same finding has the same key. `amount` is for people.
    """

    identity: str
    subject: str
    why: str
    amount: str
    content: str
    shown: Json
    read_at: datetime
    handling: Handling = "put"
    event: str = ""

    @property
    def key(self) -> str:
        """The key of its event: a run repeated with the same finding adds nothing."""
        return f"reconcile:{self.identity}:{self.content}"


@dataclass(frozen=True, slots=True)
class StripeReport:
    """What a run found.

    `differences` are put in, or would be. `under_way` have an event that is not finished, `told_before` were put in
    with just this content and ended otherwise: their events say why. `waiting` are with a person, `left_alone` are of
    Invoice Ninja's own gateway or ignored by a person. `postponed` are left to the next run; `problems` are payments
    that could not be looked at.
    """

    looked_at: int
    items_read: int
    postponed: int
    waiting: int
    left_alone: int
    differences: tuple[StripeDifference, ...]
    under_way: tuple[StripeDifference, ...]
    told_before: tuple[StripeDifference, ...]
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The report as JSON for people and programs."""
        counts = ("looked_at", "items_read", "postponed", "waiting", "left_alone")
        lists = ("differences", "under_way", "told_before")
        return {
            **{name: getattr(self, name) for name in counts},
            **{name: [_row(one) for one in getattr(self, name)] for name in lists},
            "problems": list(self.problems),
        }


def _row(one: StripeDifference) -> dict[str, str]:
    shown = {"payment": one.identity, "amount": one.amount, "why": one.why}
    return shown | ({"event": one.event} if one.event else {})


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of an event: by its key, or as the unfinished one of a subject."""

    event_id: int
    status: str
    reason: str


class StripeLists(Protocol):
    """Stripe's lists, newest first; `since` in unix seconds of their creation."""

    def intents(self, since: int) -> AsyncIterator[Json]:
        """Payment intents with their latest charge and its balance transaction."""
        ...

    def lone_charges(self, since: int) -> AsyncIterator[Json]:
        """Charges that belong to no payment intent, with their balance transaction."""
        ...

    def refunds(self, since: int) -> AsyncIterator[Json]:
        """Refunds."""
        ...

    def disputes(self, since: int) -> AsyncIterator[Json]:
        """Disputes."""
        ...

    async def whole(self, identity: str) -> Sequence[Json]:
        """One payment whole: intent or charge first, then all its refunds and disputes.

        Raises:
            NotFound: there is none in this account and mode.
        """
        ...


class ReconcileBooks(Protocol):
    """Invoice Ninja's payments in pages."""

    def payments_since(self, moment: int) -> AsyncIterator[Payment]:
        """All payments made or changed since (unix seconds), deleted ones included."""
        ...

    async def payments_referring_to(self, references: Collection[str]) -> Sequence[Payment]:
        """The payments with one of these transaction references exactly, deleted ones included."""
        ...

    async def find_payment(self, number: str) -> Payment | None:
        """The payment with exactly this number, deleted ones included."""
        ...


class Records(Protocol):
    """Our table of payments, and the events."""

    async def many(self, identities: Collection[str]) -> Mapping[str, PaymentRecord]:
        """The records of these payments, as far as there are any."""
        ...

    async def unfinished(self, subjects: Collection[str]) -> Mapping[str, Known]:
        """An event of each subject that is not finished, if there is one."""
        ...

    async def told(self, keys: Collection[str]) -> Mapping[str, Known]:
        """The events of these keys."""
        ...


@dataclass(slots=True)
class Moves:
    """Refunds and disputes by the payment they belong to."""

    of_payment: dict[str, list[Json]] = field(default_factory=dict)

    def add(self, move: Json) -> None:
        """Keep what is needed of one."""
        key = str(move.get("payment_intent") or move.get("charge") or "")
        if key:
            self.of_payment.setdefault(key, []).append({name: move[name] for name in _KEPT if name in move})

    def take(self, key: str) -> list[Json]:
        """Those of a payment, which are then taken care of."""
        return self.of_payment.pop(key, [])


_KEPT = (
    *("id", "object", "amount", "currency", "status", "created", "payment_intent", "charge", "reason"),
    *("failure_reason", "livemode", "balance_transactions"),
)
