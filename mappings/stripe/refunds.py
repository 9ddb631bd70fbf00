"""Which refunds gave money back: not the release of the rest after a partial capture.

When 6000 of 10000 are captured, Stripe reports the other 4000 as refunded, with a refund object of its own; it was
never money (docs/facts/stripe.md section 6).
"""

from mappings.stripe.collected import Collected
from mappings.stripe.models import Charge, Dispute, Intent, Refund

_NOT_MOVED = frozenset({"failed", "canceled"})
_RELEASE_REASON = "expired_uncaptured_charge"
"""Stripe's own reason: what was authorised and never captured went back, which was no money."""


def released(seen: Collected, intent: Intent | None) -> int:
    """What was authorised and never captured, in minor units; 0 while nothing was captured."""
    charges = [charge for charge in seen.all(Charge) if charge.captured]
    if charges:
        return sum(max(charge.amount - charge.captured, 0) for charge in charges)
    if intent is None or intent.status != "succeeded" or intent.received is None:
        return 0
    return max(intent.amount - intent.received, 0)


def without_release(seen: Collected, intent: Intent | None) -> tuple[Refund, ...]:
    """All refunds but the release."""
    refunds = tuple(refund for refund in seen.all(Refund) if refund.reason != _RELEASE_REASON)
    if len(refunds) < len(seen.all(Refund)):
        return refunds
    rest = released(seen, intent)
    release = _release(refunds, rest)
    if release is None or _explained_without_release(seen, refunds, rest):
        return refunds
    return tuple(refund for refund in refunds if refund.id != release.id)


def cumulative_refund(seen: Collected) -> int | None:
    """What charges say was given back, for API versions that send no refund objects; None for all others."""
    if not seen.only_charges_tell_refunds or seen.all(Refund):
        return None
    charges = [charge for charge in seen.all(Charge) if charge.captured]
    return sum(max(charge.refunded_hint - max(charge.amount - charge.captured, 0), 0) for charge in charges)


def foreign_currency(seen: Collected, currency: str | None) -> tuple[str, ...]:
    """Refunds and disputes in another currency than the payment: they cannot be subtracted from it."""
    moves: list[Refund | Dispute] = [*seen.all(Refund), *seen.all(Dispute)]
    return tuple(
        f"{move.id} is {move.amount} {move.currency.upper()}, the payment is in {(currency or '?').upper()}"
        for move in moves
        if move.currency != currency
    )


def _release(refunds: tuple[Refund, ...], rest: int) -> Refund | None:
    """The refund that may be the release: made at the capture, before any refund can be; nobody gave a reason."""
    alike = [refund for refund in refunds if refund.amount == rest and refund.reason is None]
    return min(alike, key=lambda refund: (refund.created, refund.id), default=None) if rest else None


def _explained_without_release(seen: Collected, refunds: tuple[Refund, ...], rest: int) -> bool:
    """Whether the charge's own sum shows that the release has no refund object: then all objects are real refunds."""
    said = sum(charge.refunded_hint for charge in seen.all(Charge) if charge.captured)
    moved = sum(refund.amount for refund in refunds if refund.status not in _NOT_MOVED)
    every = sum(refund.amount for refund in refunds)
    return said in {rest + moved, rest + every}
