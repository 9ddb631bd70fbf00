"""What disputes took from us: decided by what moved on our balance, and by Stripe's word where nothing is shown.

Source: docs/facts/stripe.md section 6. A won dispute gives its money back some events later, so its word counts until
a part of it came back.
"""

from collections.abc import Iterator

from mappings.stripe.facts import PaymentFacts
from mappings.stripe.models import Dispute
from mappings.values.money import money

RETURNED = frozenset({"insufficient_funds", "incorrect_account_details", "bank_cannot_process", "debit_not_authorized"})
"""Reasons of a returned bank debit: the customer never paid, so the money is owed again."""

# Closed without taking money from us for good, by their word.
_HARMLESS = frozenset({"won", "warning_closed", "prevented", "charge_refunded"})


def is_open(dispute: Dispute) -> bool:
    """Whether money is in dispute; inquiries (warning_...) move no money and are only noted."""
    return not (_says_lost(dispute) or dispute.status in _HARMLESS or dispute.status.startswith("warning_"))


def is_returned(dispute: Dispute) -> bool:
    """Whether it is a bank debit that was returned, so that the customer has not paid at all."""
    return dispute.reason in RETURNED and lost(dispute) > 0


def lost(dispute: Dispute) -> int:
    """What the dispute took for good, in minor units of its own currency; 0 while it is not decided."""
    if not _is_decided(dispute):
        return 0
    kept_back = _kept_back(dispute)
    by_word = dispute.amount if _says_lost(dispute) else 0
    if kept_back is None or (dispute.status == "won" and not dispute.reinstated):
        return by_word
    return 0 if dispute.status == "charge_refunded" else kept_back


def contradictions(facts: PaymentFacts) -> Iterator[str]:
    """Disputes whose word and whose money say different things; the money is believed, and a person has to look."""
    for dispute in facts.disputes:
        if not (_is_decided(dispute) and dispute.withdrawn):
            continue
        by_word = dispute.amount if _says_lost(dispute) else 0
        taken = lost(dispute)
        if taken != by_word or _kept_back(dispute) is None:
            yield (
                f"dispute {dispute.id} of {money(dispute.amount, dispute.currency)} is {dispute.status}, but Stripe "
                f"kept {money(taken, dispute.currency)} of it back: look at it in Stripe's dashboard"
            )


def _is_decided(dispute: Dispute) -> bool:
    return _says_lost(dispute) or dispute.status in _HARMLESS


def _says_lost(dispute: Dispute) -> bool:
    """Whether the money is gone by Stripe's word; an appeal does not bring it back before it is won."""
    return dispute.status == "lost" or dispute.status.startswith("appeal_")


def _kept_back(dispute: Dispute) -> int | None:
    """What was withdrawn and not reinstated, in minor units of the dispute's currency; None when that is not known."""
    if not dispute.withdrawn:
        return None
    kept_back = max(dispute.withdrawn - dispute.reinstated, 0)
    if dispute.moved_currency == dispute.currency:
        return min(kept_back, dispute.amount)
    # On a balance in another currency only all and nothing can be told.
    return {0: 0, dispute.withdrawn: dispute.amount}.get(kept_back)
