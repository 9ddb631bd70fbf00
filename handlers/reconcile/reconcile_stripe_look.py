"""What Stripe's lists say about one payment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from handlers.ports.billing import Json, PaymentRecord
from mappings.stripe import PaymentFacts, PaymentTarget, from_api, target
from mappings.stripe.disputes import is_open, lost


@dataclass(frozen=True, slots=True)
class PaymentLook:
    """One payment at Stripe: its object, what became of it, and when it last moved (unix seconds)."""

    shown: Json
    facts: PaymentFacts
    goal: PaymentTarget
    moved_at: int
    is_whole_in_books: bool


def look_at(objects: Sequence[Json], *, is_whole: bool) -> PaymentLook:
    """What the objects of one payment say; the first is the intent or charge.

    Raises:
        BadStripeObject: they cannot be read.
    """
    facts = from_api(None, others=objects)
    shown = objects[0]
    charge = shown.get("latest_charge")
    whole: Json = shown
    if isinstance(charge, Mapping):
        refunds = [one for one in objects[1:] if one.get("object") == "refund"]
        whole = {**shown, "latest_charge": {**charge, "refunds": {"object": "list", "data": refunds}}}
    return PaymentLook(whole, facts, target(facts), _moved_at(facts), is_whole)


def _moved_at(facts: PaymentFacts) -> int:
    """When money last moved, as far as the objects say."""
    moves = [facts.paid_at or 0, *(one.created for one in facts.refunds), *(one.created for one in facts.disputes)]
    return max(moves)


def may_differ(record: PaymentRecord | None, moves: Sequence[Json], since: int) -> bool:
    """Whether an older payment must be asked for: what its listed refunds and disputes say is not what is known.

    Raises:
        BadStripeObject: they cannot be read.
    """
    if record is None:
        return max(int(move["created"]) for move in moves) >= since
    facts = from_api(None, others=moves)
    back = sum(refund.amount for refund in facts.refunds if refund.status == "succeeded")
    back += sum(lost(dispute) for dispute in facts.disputes)
    if record.refunded != back or record.status == "disputed":
        return True
    return record.status not in {"own_gateway", "ignored"} and any(is_open(one) for one in facts.disputes)
