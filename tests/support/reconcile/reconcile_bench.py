"""A bench for reconciling with Stripe: people pay for a month, and some webhooks never arrive."""

import json
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from handlers.ports.billing import PaymentRecord
from handlers.reconcile.money_balance import MoneyBalance, PaidSpan
from handlers.reconcile.stripe import StripeReconciliation
from handlers.reconcile.stripe_models import Known, StripeDifference, StripeReport, StripeScope
from mappings.stripe.balance import MoneyReport
from mappings.values.money import to_major
from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.reconcile.stripe import Lists, event_of
from middleware.store.billing.payment_events import MONEYLESS
from tests.support.payments.payment_bench import Clock, subject_of
from tests.support.payments.payment_link_bench import LinkBench

LATEST = datetime(9999, 1, 1, tzinfo=UTC)
URL = "http://bridge.test/webhooks/stripe"
LIVES = {"EUR": "250.00", "JPY": "25000", "KWD": "250.50"}
MINOR = {"EUR": 25000, "JPY": 25000, "KWD": 250500}


class FakeRecords:
    """The table of payments and the events, in memory; `busy` are subjects with an unfinished event."""

    def __init__(self, desk: "ReconcileBench") -> None:
        self.desk = desk
        self.busy: dict[str, Known] = {}
        self.ended: dict[str, Known] = {}

    async def many(self, identities: Collection[str]) -> Mapping[str, Any]:
        """The records of these payments."""
        records = self.desk.memory.records
        return {key: records[key] for key in identities if key in records}

    async def paid_between(self, begin: datetime, end: datetime | None) -> AsyncIterator[PaymentRecord]:
        """The records whose money arrived in a span."""
        for key in sorted(self.desk.memory.records):
            record = self.desk.memory.records[key]
            if record.paid_at and record.status not in MONEYLESS and begin <= record.paid_at < (end or LATEST):
                yield record

    async def unfinished(self, subjects: Collection[str]) -> Mapping[str, Known]:
        """The busy ones among them."""
        return {subject: self.busy[subject] for subject in subjects if subject in self.busy}

    async def told(self, keys: Collection[str]) -> Mapping[str, Known]:
        """The events of these keys."""
        return {key: self.ended[key] for key in keys if key in self.ended}


class FakeSink:
    """Stores what is put in, and settles it at once."""

    def __init__(self, desk: "ReconcileBench", *, settles: bool) -> None:
        self.desk = desk
        self.settles = settles

    async def enqueue(self, differences: Sequence[StripeDifference]) -> None:
        """Store each as an event, once, and converge its subject."""
        for one in differences:
            new = event_of(one)
            self.desk.records.ended[new.key] = Known(1, "processed", "told")
            created = int(one.read_at.timestamp())
            self.desk.store("stripe", new.type, new.subject, json.loads(new.body), created)
            if self.settles:
                await self.desk.converge(new.subject)


class ReconcileBench(LinkBench):
    """People, Stripe, lossy deliveries, Invoice Ninja."""

    def __init__(self, state: NinjaState, clock: Clock) -> None:
        super().__init__(state, clock)
        self.people.listen(URL, "whsec_test")
        self.records = FakeRecords(self)
        self.progress: list[tuple[str, int]] = []

    async def reconcile(
        self, since: datetime | None = None, *, dry_run: bool = False, settles: bool = True, **scope: Any
    ) -> StripeReport:
        """One run; since 31 days ago unless told otherwise."""
        run = StripeReconciliation(
            Lists(self.client_of_stripe),
            self.ninja,
            self.records,
            self.clock,
            None if dry_run else FakeSink(self, settles=settles),
            progress=lambda text, count: self.progress.append((text, count)),
        )
        return await run.run(StripeScope(since or self.clock() - timedelta(days=31), **scope))

    async def balance(self, begin: datetime | None = None, end: datetime | None = None, **how: Any) -> MoneyReport:
        """The money that arrived in a span; since 60 days ago unless told otherwise, all of it known by then.

        `has_key` False: without Stripe's lists. `settling`: seconds in which money may be on its way to us.
        """
        since = begin or self.clock() - timedelta(days=60)
        settled = self.clock() - timedelta(seconds=how.get("settling", 0) - 1)
        span = PaidSpan(since, end, how.get("known_since", since), settled)
        lists = Lists(self.client_of_stripe) if how.get("has_key", True) else None
        return await MoneyBalance(self.ninja, self.records, lists).count(span)

    async def enter_payment(self, client_id: str, amount: str, reference: str, **fields: Any) -> str:
        """A payment that a person enters in Invoice Ninja; returns its id."""
        body = {"client_id": client_id, "amount": amount, "transaction_reference": reference}
        dated = {"date": f"{self.clock():%Y-%m-%d}"}
        return str((await self.post("/payments", {**body, **dated, **fields}))["id"])

    async def deliver_webhooks(self, chance: random.Random | None = None, lost: float = 0.0) -> int:
        """Deliver what Stripe sent, that of some payments never; returns how many webhooks were lost."""
        missing, fate = 0, dict[str, bool]()
        for delivery in self.account.outbox.take():
            subject = subject_of(delivery.event)
            if chance is not None and fate.setdefault(subject, chance.random() < lost):
                missing += 1
            else:
                await self.deliver(delivery.event)
        return missing

    def lose_webhooks(self) -> int:
        """Nothing of what Stripe sent arrives."""
        return len(self.account.outbox.take())

    def kept_at_stripe(self) -> dict[str, Decimal]:
        """What stays of the payments that name an invoice, by its number, in units of the currency."""
        kept: dict[str, Decimal] = defaultdict(Decimal)
        tables = self.account.tables
        for intent in tables["payment_intent"]:
            number = intent["metadata"].get("invoice_number")
            if number and "payment_hash" not in intent["metadata"] and intent["status"] == "succeeded":
                back = sum(one["amount"] for one in _of(tables["refund"], intent) if one["status"] == "succeeded")
                back += sum(one["amount"] for one in _of(tables["dispute"], intent) if one["status"] == "lost")
                kept[number] += to_major(intent["amount_received"] - back, intent["currency"])
        return dict(kept)

    def kept_in_books(self) -> dict[str, Decimal]:
        """What Invoice Ninja's payments leave of Stripe's money, by the number of the invoice they are for."""
        kept: dict[str, Decimal] = defaultdict(Decimal)
        numbers = {row["id"]: row["number"] for row in self.state.tables["invoices"]}
        for row in self.payments():
            named = {numbers[part["invoice_id"]] for part in row["paymentables"] if part.get("invoice_id")}
            assert len(named) == 1
            kept[named.pop()] += Decimal(str(row["amount"])) - Decimal(str(row["refunded"]))
        return dict(kept)


def _of(table: Any, intent: Mapping[str, Any]) -> list[Any]:
    return [one for one in table if one["payment_intent"] == intent["id"]]


@dataclass
class Month:
    """A month of payments: `payments` of them, told by a seed."""

    desk: ReconcileBench
    seed: int
    payments: int

    async def play(self, lost: float) -> int:
        """Let it happen, delivering day by day; returns how many webhooks were lost."""
        chance = random.Random(self.seed)  # noqa: S311 - repeatable chance
        clients = {currency: await self.desk.client(currency) for currency in LIVES}
        missing, number = 0, 0
        for _day in range(30):
            for _ in range(self.payments // 30):
                number += 1
                await self._pay(f"2026-{number:04}", clients, chance)
            self._troubles(chance)
            self.desk.clock.wait(24 * 3600)
            missing += await self.desk.deliver_webhooks(chance, lost)
        return missing

    async def _pay(self, number: str, clients: Mapping[str, str], chance: random.Random) -> None:
        currency = chance.choice(sorted(LIVES))
        await self.desk.invoice(clients[currency], LIVES[currency], number)
        whole, kind = MINOR[currency], chance.random()
        named = {"invoice_number": number}
        if kind < 0.08:
            self.desk.people.pay(whole // 2, currency.lower(), named)
        elif kind < 0.12:
            self.desk.people.pay(whole, currency.lower())
        elif kind < 0.16:
            self.desk.people.pay(whole, currency.lower(), {**named, "payment_hash": "abc"})
        elif kind < 0.22:
            self.desk.people.try_again(self.desk.people.fail(whole, currency.lower(), named)["id"])
        elif kind < 0.25:
            self.desk.people.fail(whole, currency.lower(), named)
        else:
            self.desk.people.pay(whole, currency.lower(), named)

    def _troubles(self, chance: random.Random) -> None:
        """Refunds and disputes of some payments, and how earlier ones go on."""
        people, tables = self.desk.people, self.desk.account.tables
        for intent in [one for one in tables["payment_intent"] if one["status"] == "succeeded"]:
            charge = self.desk.account.find("charge", intent["latest_charge"])
            if charge["amount_refunded"] or charge["disputed"] or chance.random() > 0.02:
                continue
            if chance.random() < 0.3:
                people.dispute(intent["id"])
            else:
                part = 1000 if chance.random() < 0.5 else None
                people.refund(intent["id"], part, pending=chance.random() < 0.3)
        for refund in list(tables["refund"]):
            if chance.random() < 0.1:
                self._go_on(refund, chance)
        for dispute in [one for one in tables["dispute"] if one["status"] == "needs_response"]:
            if chance.random() < 0.2:
                decide = people.dispute_lost if chance.random() < 0.5 else people.dispute_won
                decide(dispute["id"])

    def _go_on(self, refund: Mapping[str, Any], chance: random.Random) -> None:
        if refund["status"] == "pending":
            self.desk.people.refund_succeeds(refund["id"])
        elif refund["status"] == "succeeded" and chance.random() < 0.3:
            self.desk.people.refund_fails(refund["id"])


@asynccontextmanager
async def reconcile_bench() -> AsyncIterator[ReconcileBench]:
    """A bench with an empty Invoice Ninja and an empty Stripe."""
    clock = Clock()
    desk = ReconcileBench(NinjaState(clock=clock), clock)
    try:
        yield desk
    finally:
        await desk.ninja.aclose()
        await desk.client_of_stripe.aclose()
