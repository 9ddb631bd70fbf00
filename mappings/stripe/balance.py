"""The balance of money: what Stripe received against what Invoice Ninja holds, for each currency. Pure.

For every payment: received minus returned = recorded, or it waits for an invoice, or a person ignored it, or its event
is under way. Amounts are units of the currency. Source: docs/payments.md section "The balance of money".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

MoneyPlace = Literal["recorded", "unmatched", "ignored", "under_way"]

_ZERO = Decimal(0)
_NAMED = 5


@dataclass(frozen=True, slots=True)
class CountedPayment:
    """One payment in the balance.

    `returned`: refunds, lost disputes and returned debits. `recorded`: what Invoice Ninja holds of it after refunds.
    `reason` says why it is ignored.
    """

    identity: str
    currency: str
    received: Decimal
    returned: Decimal
    recorded: Decimal
    place: MoneyPlace = "recorded"
    reason: str = ""

    @property
    def kept(self) -> Decimal:
        """What stayed at Stripe."""
        return self.received - self.returned

    @property
    def difference(self) -> Decimal:
        """What stayed at Stripe and is nowhere; below zero: what Invoice Ninja holds too much."""
        return self.kept - self.recorded if self.place == "recorded" else _ZERO

    @property
    def sentence(self) -> str:
        """What differs, in one sentence."""
        if not self.received and not self.returned:
            return f"Invoice Ninja holds {self.recorded} {self.currency}, and neither Stripe nor an event knows it"
        if not self.recorded:
            return f"{self.kept} {self.currency} stayed at Stripe, and Invoice Ninja holds nothing of it"
        return f"{self.kept} {self.currency} stayed at Stripe, and Invoice Ninja holds {self.recorded} {self.currency}"


@dataclass(slots=True)
class CurrencyBalance:
    """The sums of one currency."""

    currency: str
    payments: int = 0
    received: Decimal = _ZERO
    returned: Decimal = _ZERO
    recorded: Decimal = _ZERO
    unmatched: Decimal = _ZERO
    under_way: Decimal = _ZERO
    ignored: dict[str, Decimal] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal:
        """What is nowhere: 0 when everything is accounted for."""
        elsewhere = self.unmatched + self.under_way + sum(self.ignored.values(), _ZERO)
        return self.received - self.returned - self.recorded - elsewhere

    @property
    def sentence(self) -> str:
        """The sums in one sentence; `received` without what went back."""
        kept = self.received - self.returned
        return f"{self.currency}: received {kept:,}, recorded {self.recorded:,}, difference {self.difference:,}"

    def add(self, payment: CountedPayment) -> None:
        """Count one payment."""
        self.payments += 1
        self.received += payment.received
        self.returned += payment.returned
        if payment.place == "recorded":
            self.recorded += payment.recorded
        elif payment.place == "unmatched":
            self.unmatched += payment.kept
        elif payment.place == "under_way":
            self.under_way += payment.kept
        else:
            self.ignored[payment.reason] = self.ignored.get(payment.reason, _ZERO) + payment.kept

    def as_json(self) -> dict[str, object]:
        """Decimal strings in units of the currency."""
        return {
            "currency": self.currency,
            "payments": self.payments,
            **{name: str(getattr(self, name)) for name in ("received", "returned", "recorded", "unmatched")},
            "ignored": [{"reason": why, "amount": str(amount)} for why, amount in sorted(self.ignored.items())],
            "under_way": str(self.under_way),
            "difference": str(self.difference),
        }


@dataclass(slots=True)
class MoneyReport:
    """All currencies, and the payments that differ. `not_counted` are sentences about amounts that cannot be read.

    Differences of two payments may cancel in the sum: `is_balanced` looks at each payment.
    """

    by_stripe: bool = False
    currencies: dict[str, CurrencyBalance] = field(default_factory=dict)
    differing: list[CountedPayment] = field(default_factory=list)
    not_counted: list[str] = field(default_factory=list)

    @property
    def is_balanced(self) -> bool:
        """Whether every payment is accounted for to the last cent."""
        return not self.differing

    @property
    def sentence(self) -> str:
        """How it stands, and the first payments that differ."""
        sums = [self.currencies[code].sentence for code in sorted(self.currencies)]
        off = [f"{one.identity}: {one.sentence}" for one in self.differing[:_NAMED]]
        more = len(self.differing) - len(off)
        return "; ".join([*(sums or ["no money arrived"]), *off, *([f"{more} more payments differ"] if more else [])])

    def add(self, payments: Iterable[CountedPayment]) -> None:
        """Count these."""
        for payment in payments:
            self.currencies.setdefault(payment.currency, CurrencyBalance(payment.currency)).add(payment)
            if payment.difference:
                self.differing.append(payment)

    def as_json(self) -> Mapping[str, object]:
        """The report for programs and for the overview."""
        return {
            "counted_by": "Stripe's lists" if self.by_stripe else "our own table of payments",
            "is_balanced": self.is_balanced,
            "currencies": [self.currencies[code].as_json() for code in sorted(self.currencies)],
            "differing": [
                {
                    "payment": one.identity,
                    "currency": one.currency,
                    "difference": str(one.difference),
                    "why": one.sentence,
                }
                for one in self.differing
            ],
            "not_counted": self.not_counted,
        }
