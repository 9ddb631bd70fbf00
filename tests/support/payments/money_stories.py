"""Stories of money by chance: how an invoice over 100 EUR is paid, and what goes back; counted without our code.

Receipt invoices, money past Stripe, double payments, refunds, disputes of a part and returned debits, each told by the
events that Stripe sends. All sums are cents.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.support.payments.payment_bench import DAY, dispute, paid, refund, stripe_event
from tests.support.payments.stripe_story import Json

WHOLE = 10_000
NUMBER: Any = {"invoice_number": "R-1"}


def session(**more: object) -> Json:
    """A Checkout Session of pi_1 that is paid, with a receipt invoice."""
    body = {"id": "cs_1", "object": "checkout.session", "payment_status": "paid", "amount_total": WHOLE}
    body |= {"currency": "eur", "status": "complete", "created": DAY, "payment_intent": "pi_1", "invoice": "in_1"}
    return stripe_event("checkout.session.completed", DAY + 1, {**body, **more})


def stripe_invoice(kind: str = "invoice.paid", **more: object) -> Json:
    """A Stripe invoice over 100 that is paid, and that nobody attempted to charge."""
    body = {"id": "in_1", "object": "invoice", "status": "paid", "amount_due": WHOLE, "amount_paid": WHOLE}
    body |= {"currency": "eur", "attempted": False, "attempt_count": 0, "created": DAY, "metadata": {}}
    return stripe_event(kind, DAY + 2, {**body, **more})


def payment_record(amount: int, *, key: str = "inpay_1") -> Json:
    """Money that came past Stripe, as the newest versions tell of it."""
    body = {"id": key, "object": "invoice_payment", "invoice": "in_1", "status": "paid", "amount_paid": amount}
    body |= {"currency": "eur", "payment": {"type": "payment_record", "payment_record": "pr_1"}, "created": DAY}
    return stripe_event("invoice_payment.paid", DAY + 3, body)


def card_part(amount: int) -> Json:
    """The part of a Stripe invoice that pi_1 paid by card."""
    event = payment_record(amount, key="inpay_2")
    event["data"]["object"]["payment"] = {"type": "payment_intent", "payment_intent": "pi_1"}
    return event


@dataclass(slots=True)
class MoneyStory:
    """One invoice: its events, and our own count of the money by payment. `returned`: of it what never came."""

    events: list[Json] = field(default_factory=list)
    received: dict[str, int] = field(default_factory=dict)
    gone: int = 0
    returned: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def kept(self) -> int:
        """What stays at Stripe, or with us past it."""
        return sum(self.received.values()) - self.gone

    def balance(self, *, closes: bool) -> int:
        """What the customer owes: what is missing, unless a credit settles it; a returned debit is always owed."""
        missing = max(WHOLE - self.kept, 0)
        return min(self.returned, missing) if closes else missing


def money_story(seed: int) -> MoneyStory:
    """A story; the same seed tells the same one."""
    chance = random.Random(seed)  # noqa: S311 - repeatable chance
    made = MoneyStory()
    _pay(made, chance)
    _lose(made, chance)
    return made


def _pay(made: MoneyStory, chance: random.Random) -> None:
    kind = chance.choice(("card", "receipt", "twice", "past and card"))
    made.words.append(kind)
    if kind == "past and card":
        past = chance.randrange(100, WHOLE - 100)
        card = WHOLE - past
        invoice = stripe_invoice(metadata=NUMBER, attempted=True, attempt_count=1)
        made.events += [payment_record(past), card_part(card), paid(card), invoice]
        made.received = {"in_1": past, "pi_1": card}
        return
    made.events.append(paid(WHOLE, **NUMBER))
    made.received = {"pi_1": WHOLE}
    if kind == "receipt":
        where: Any = chance.choice(({}, NUMBER))
        made.events += [session(metadata=where), stripe_invoice(metadata=where)]
    elif kind == "twice":
        second = chance.choice((WHOLE, chance.randrange(1, WHOLE)))
        made.events.append(paid(second, "pi_2", created=DAY + 60, **NUMBER))
        made.received["pi_2"] = second


def _lose(made: MoneyStory, chance: random.Random) -> None:
    whole = made.received["pi_1"]
    kind = chance.choice(("nothing", "refund", "refunds", "part of a dispute", "dispute won", "returned debit"))
    made.words.append(kind)
    if kind in {"refund", "refunds"}:
        parts = [chance.choice((whole, chance.randrange(1, whole)))]
        if kind == "refunds" and parts[0] < whole:
            parts.append(chance.randrange(1, whole - parts[0] + 1))
        made.events += [refund(f"re_{index}", part) for index, part in enumerate(parts, start=1)]
        made.gone = sum(parts)
    elif kind == "part of a dispute":
        back = chance.randrange(0, whole)
        made.events.append(dispute("lost", whole, (-whole, back) if back else (-whole,)))
        made.gone = whole - back
    elif kind == "dispute won":
        made.events.append(dispute("won", whole, (-whole, whole)))
    elif kind == "returned debit":
        made.events.append(dispute("lost", whole, (-whole,), reason="insufficient_funds"))
        made.gone = made.returned = whole
