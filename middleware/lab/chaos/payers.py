"""Customers who pay invoices through the sandbox Stripe, and our own memory of the money."""

import random
from dataclasses import dataclass, field

from middleware.lab.sandbox.stripe.people import StripePeople


@dataclass(slots=True, eq=False)
class Bill:
    """An invoice in Invoice Ninja and what Stripe holds of it, in cents; `intents`: received and given back."""

    number: str
    client_id: str
    cents: int
    intents: dict[str, list[int]] = field(default_factory=dict)
    refunds: list[str] = field(default_factory=list)

    @property
    def received(self) -> int:
        """All that was received."""
        return sum(received for received, _ in self.intents.values())

    @property
    def given_back(self) -> int:
        """All that was refunded."""
        return sum(given for _, given in self.intents.values())


class Payers:
    """Each invoice is paid once, whole or in two parts, maybe after a declined card; some get money back."""

    def __init__(self, people: StripePeople, bills: list[Bill], chance: random.Random) -> None:
        self.bills = bills
        self._people = people
        self._chance = chance
        self._unpaid = list(bills)
        self._paid: list[Bill] = []

    def act(self) -> None:
        """Somebody pays, or gets money back."""
        if self._unpaid and (not self._paid or self._chance.random() < 0.65):  # noqa: PLR2004 - more pay than regret
            bill = self._unpaid.pop(0)
            self._pay(bill)
            self._paid.append(bill)
        elif self._paid:
            self._refund(self._chance.choice(self._paid))

    def finish(self) -> None:
        """Who has not paid yet pays now."""
        while self._unpaid:
            self._pay(self._unpaid.pop(0))

    def _pay(self, bill: Bill) -> None:
        first = self._chance.randint(100, bill.cents - 100) if self._chance.random() < 0.3 else bill.cents  # noqa: PLR2004 - some
        for cents in (part for part in (first, bill.cents - first) if part):
            self._pay_part(bill, cents)

    def _pay_part(self, bill: Bill, cents: int) -> None:
        metadata = {"invoice_number": bill.number}
        if self._chance.random() < 0.25:  # noqa: PLR2004 - some cards are declined first
            intent = self._people.try_again(self._people.fail(cents, "eur", metadata)["id"])
        else:
            intent = self._people.pay(cents, "eur", metadata)
        bill.intents[intent["id"]] = [cents, 0]

    def _refund(self, bill: Bill) -> None:
        intent, amounts = self._chance.choice(list(bill.intents.items()))
        left = amounts[0] - amounts[1]
        if left:
            cents = self._chance.randint(1, left)
            bill.refunds.append(self._people.refund(intent, cents)["id"])
            amounts[1] += cents
