"""What Invoice Ninja should hold for one payment, computed from the facts alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from mappings.stripe.disputes import contradictions, is_open, is_returned, lost
from mappings.stripe.facts import PaymentFacts
from mappings.stripe.models import BalanceTransaction, Dispute
from mappings.values.money import money

TargetStatus = Literal[
    "unpaid",
    "processing",
    "failed",
    "overdue",
    "canceled",
    "by_its_payments",
    "unexplained",
    "own_gateway",
    "paid",
    "partial",
    "disputed",
    "partially_refunded",
    "refunded",
    "returned",
]

_UNPAID: dict[str, TargetStatus] = {
    "processing": "processing",
    "failed": "failed",
    "canceled": "canceled",
    "by_its_payments": "by_its_payments",
    "unexplained": "unexplained",
}


@dataclass(frozen=True, slots=True)
class PaymentTarget:
    """What Invoice Ninja should hold. Amounts are minor units of `currency` (upper case), `paid_at` unix seconds.

    `key` becomes `number`, `idempotency_key` and `transaction_reference`; Invoice Ninja may already hold the money
    under any of `references`. `refunded` is what is to be shown as given back: succeeded refunds and what disputes
    took (`lost`). `status` is our word for how the payment leaves its invoice. `partial`: less arrived than was
    asked for; whether the invoice is covered is for the caller to see. `problems` must go to a person.
    """

    key: str
    references: tuple[str, ...]
    currency: str | None
    paid: int
    refunded: int
    lost: int
    status: TargetStatus
    paid_at: int | None
    fee: BalanceTransaction | None
    notes: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def kept(self) -> int:
        """The money that stays, in minor units."""
        return self.paid - self.refunded


def target(facts: PaymentFacts) -> PaymentTarget:
    """What Invoice Ninja should hold; nothing for money that its own Stripe gateway records (metadata payment_hash)."""
    paid = 0 if facts.own_gateway else facts.received
    gone = min(sum(lost(dispute) for dispute in _countable(facts)), paid)
    refunded = min(_given_back(facts) + gone, paid)
    return PaymentTarget(
        key=facts.identity,
        references=facts.references,
        currency=facts.currency,
        paid=paid,
        refunded=refunded,
        lost=gone,
        status=_status(facts, paid, refunded),
        paid_at=facts.paid_at,
        fee=facts.fee,
        notes=tuple(_notes(facts)),
        problems=(*facts.problems, *contradictions(facts), *_returned(facts)),
    )


def _countable(facts: PaymentFacts) -> Iterator[Dispute]:
    return (dispute for dispute in facts.disputes if dispute.currency.upper() == facts.currency)


def _returned(facts: PaymentFacts) -> Iterator[str]:
    """Bank debits that came back: nobody has to correct anything, but somebody has to know."""
    for dispute in facts.disputes:
        if is_returned(dispute):
            amount = money(lost(dispute), dispute.currency)
            yield f"the customer's bank took {amount} back ({dispute.reason}, {dispute.id}): it is owed again"


def _given_back(facts: PaymentFacts) -> int:
    if facts.cumulative_refund is not None:
        return facts.cumulative_refund
    succeeded = (refund for refund in facts.refunds if refund.status == "succeeded")
    return sum(refund.amount for refund in succeeded if refund.currency.upper() == facts.currency)


def _status(facts: PaymentFacts, paid: int, refunded: int) -> TargetStatus:
    if facts.own_gateway:
        return "own_gateway"
    if paid == 0:
        return _unpaid_status(facts)
    if any(is_open(dispute) for dispute in facts.disputes):
        return "disputed"
    if refunded and any(is_returned(dispute) for dispute in facts.disputes):
        return "returned"
    if refunded:
        return "refunded" if refunded == paid else "partially_refunded"
    return "partial" if paid < facts.asked else "paid"


def _unpaid_status(facts: PaymentFacts) -> TargetStatus:
    if facts.overdue_since is not None:
        return "overdue"
    return _UNPAID.get(facts.status, "unpaid")


def _notes(facts: PaymentFacts) -> Iterator[str]:
    """One line per fact a person may ask about, oldest first; the same facts give the same lines."""
    if facts.fee and facts.fee.fee is not None:
        yield f"Stripe fee {money(facts.fee.fee, facts.fee.currency)} ({facts.fee.id})"
    if facts.released:
        yield f"{money(facts.released, facts.currency)} were authorised but not captured"
    for refund in sorted(facts.refunds, key=lambda refund: (refund.created, refund.id)):
        why = f" ({refund.failure_reason})" if refund.failure_reason else ""
        yield f"Refund {refund.id} of {money(refund.amount, refund.currency)}: {refund.status}{why}"
    for dispute in sorted(facts.disputes, key=lambda dispute: (dispute.created, dispute.id)):
        why = f" ({dispute.reason})" if dispute.reason else ""
        yield f"Dispute {dispute.id} of {money(dispute.amount, dispute.currency)}{why}: {dispute.status}"
    yield from _failure_note(facts)


def _failure_note(facts: PaymentFacts) -> Iterator[str]:
    failure = facts.failure
    if failure is None:
        return
    attempt = f", attempt {failure.attempt_count}" if failure.attempt_count else ""
    again = f", next attempt {_day(failure.next_attempt_at)}" if failure.next_attempt_at else ""
    why = (failure.message or failure.code or "no reason given").rstrip(".")
    yield f"Payment failed: {why}{attempt}{again}"


def _day(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
