"""Whether Invoice Ninja holds one payment as Stripe does, judged without asking anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Literal

from handlers.ports.billing import PaymentRecord
from handlers.reconcile.stripe_models import BookRow
from mappings.stripe import PaymentTarget
from mappings.values.money import MoneyError, money, to_major

_LEFT_ALONE = frozenset({"ignored", "own_gateway"})
_WITH_A_PERSON = frozenset({"unmatched", "needs_person"})

Verdict = Literal["same", "waiting", "left_alone", "differs"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, and for a difference what differs."""

    verdict: Verdict
    why: str = ""


_SAME = Judgement("same")


def judge(goal: PaymentTarget, record: PaymentRecord | None, rows: Sequence[BookRow] | None) -> Judgement:
    """Compare what should be with our record and with Invoice Ninja's payments; `rows` None: these are not known."""
    if record is None:
        return Judgement("differs", "it is not known here")
    if (record.amount, record.refunded) != (goal.paid, goal.refunded):
        return Judgement("differs", _otherwise(goal, record))
    if record.status in _LEFT_ALONE:
        return Judgement("left_alone")
    live = [row for row in rows or () if not row.is_deleted]
    if record.status in _WITH_A_PERSON:
        entered = record.status == "unmatched" and live
        return Judgement("differs", "a person entered it in Invoice Ninja") if entered else Judgement("waiting")
    if record.status != goal.status:
        return Judgement("differs", f"it is {goal.status} at Stripe, known as {record.status}")
    return _SAME if rows is None else _judge_books(goal, record, rows, live)


def content_mark(goal: PaymentTarget, record: PaymentRecord | None, rows: Sequence[BookRow] | None) -> str:
    """A mark of everything that was compared: the same finding has the same mark."""
    known = (record.status, record.amount, record.refunded, record.payment_id) if record else None
    held = sorted((row.number, str(row.amount), str(row.refunded), row.is_deleted) for row in rows or ())
    compared = (goal.key, goal.currency, goal.paid, goal.refunded, goal.status, known, held)
    return sha256(repr(compared).encode()).hexdigest()[:20]


def _judge_books(
    goal: PaymentTarget, record: PaymentRecord, rows: Sequence[BookRow], live: Sequence[BookRow]
) -> Judgement:
    if not live:
        if not goal.kept and not record.payment_id:
            return _SAME
        gone = "it was deleted in Invoice Ninja" if rows else "Invoice Ninja has no payment of it"
        return Judgement("differs", gone)
    try:
        kept = to_major(goal.kept, goal.currency or "")
    except MoneyError:
        # Only a person could enter it, and did: with what amount is theirs to say.
        return _SAME
    held = sum((row.amount - row.refunded for row in live), Decimal(0))
    if held == kept:
        return _SAME
    return Judgement("differs", f"Invoice Ninja holds {held} of it, Stripe {kept} {goal.currency}")


def _otherwise(goal: PaymentTarget, record: PaymentRecord) -> str:
    if record.amount != goal.paid:
        return f"{money(goal.paid, goal.currency)} arrived, known are {money(record.amount, goal.currency)}"
    back, known = money(goal.refunded, goal.currency), money(record.refunded, goal.currency)
    return f"{back} of it went back, known are {known}"
