"""Customers who pay invoices through the sandbox Stripe, and our own memory of the money."""

import random
from dataclasses import dataclass, field

from middleware.lab.sandbox.stripe.people import StripePeople


@dataclass(slots=True, eq=False)
class Bill:
    """An invoice in Invoice Ninja and what Stripe holds of it, in cents.

    `intents`: received and given back; an invoice of Stripe that was paid past it is one of them. `refunds` are the ids
    of refunds and disputes, `disputed` the intents with a dispute. `returned`: what bank debits brought and took back.
    """

    number: str
    client_id: str
    cents: int
    intents: dict[str, list[int]] = field(default_factory=dict)
    refunds: list[str] = field(default_factory=list)
    disputed: set[str] = field(default_factory=set)
    returned: int = 0

    @property
    def received(self) -> int:
        """All that was received."""
        return sum(received for received, _ in self.intents.values())

    @property
    def given_back(self) -> int:
        """All that went back."""
        return sum(given for _, given in self.intents.values())

    @property
    def never_came(self) -> int:
        """What returned debits left open; another payment of the invoice may cover it."""
        return max(self.cents - self.received + self.returned, 0)

    @property
    def missing(self) -> int:
        """What is not paid, or not any more."""
        return max(self.cents - self.received + self.given_back, 0)


class Payers:
    """Each invoice is paid: whole, in two parts, twice, with a receipt invoice or past Stripe, maybe after a decline.

    Some get money back: by refunds, by disputes of a part, or because a bank debit is returned.
    """

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
        kind = self._chance.random()
        if kind < 0.1:  # noqa: PLR2004 - some pay past Stripe
            self._pay_past_stripe(bill)
        elif kind < 0.2:  # noqa: PLR2004 - some get a receipt invoice
            session = self._people.pay_with_receipt(bill.cents, "eur", {"invoice_number": bill.number})
            bill.intents[session["payment_intent"]] = [bill.cents, 0]
        elif kind < 0.35:  # noqa: PLR2004 - some pay twice
            self._pay_part(bill, bill.cents)
            self._pay_part(bill, bill.cents)
        else:
            self._pay_in_parts(bill)

    def _pay_past_stripe(self, bill: Bill) -> None:
        """In cash or by bank transfer: the invoice at Stripe is marked as paid."""
        invoice = self._people.bill(bill.cents, "eur", {"invoice_number": bill.number})
        self._people.invoice_paid_out_of_band(invoice["id"])
        bill.intents[invoice["id"]] = [bill.cents, 0]

    def _pay_in_parts(self, bill: Bill) -> None:
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
        if not left or intent in bill.disputed or not intent.startswith("pi_"):
            return
        cents, kind = self._chance.randint(1, left), self._chance.random()
        if kind < 0.2:  # noqa: PLR2004 - some go to their bank
            self._dispute(bill, intent, cents, "fraudulent")
        elif kind < 0.3:  # noqa: PLR2004 - some debits are returned
            self._dispute(bill, intent, left, "insufficient_funds")
            bill.returned += left
            cents = left
        else:
            bill.refunds.append(self._people.refund(intent, cents)["id"])
        amounts[1] += cents

    def _dispute(self, bill: Bill, intent: str, cents: int, reason: str) -> None:
        """A dispute that is lost at once."""
        dispute = self._people.dispute(intent, cents, reason)["id"]
        self._people.dispute_lost(dispute)
        bill.refunds.append(dispute)
        bill.disputed.add(intent)
