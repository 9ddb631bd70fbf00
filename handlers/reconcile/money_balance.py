"""Counts the money: each payment at Stripe against Invoice Ninja's payments, read in pages.

With a key, Stripe's own lists say what was received and what went back; without one, our table of payments does. Of
each payment only a few numbers are held.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

from handlers.payments.facts import PAYMENT
from handlers.ports.billing import Json, PaymentRecord
from handlers.reconcile.reconcile_stripe_look import PaymentLook, look_at
from handlers.reconcile.stripe_models import SLOW_MONEY, Moves, Records, StripeLists
from mappings.invoiceninja.models import Payment, Statics
from mappings.stripe import BadStripeObject
from mappings.stripe.balance import CountedPayment, MoneyPlace, MoneyReport
from mappings.values.money import MoneyError, to_major

BATCH = 200
# A payment is dated in its client's time zone, and Invoice Ninja's clock may be wrong.
_SKEW = timedelta(days=2)
_OUR_NUMBERS = ("pi_", "ch_", "py_", "in_")
_OWN_GATEWAY = "recorded by Invoice Ninja's own Stripe gateway"
_ZERO = Decimal(0)

Progress = Callable[[str, int], None]


class BalanceBooks(Protocol):
    """Invoice Ninja as the balance reads it."""

    def payments_since(self, moment: int) -> AsyncIterator[Payment]:
        """All payments made or changed since (unix seconds), deleted ones included."""
        ...

    async def statics(self) -> Statics:
        """Invoice Ninja's own tables."""
        ...


class MoneyRecords(Records, Protocol):
    """Our table of payments, and the events."""

    def paid_between(self, begin: datetime, end: datetime | None) -> AsyncIterator[PaymentRecord]:
        """The records of money that arrived in a span, by identity, read in pages."""
        ...


@dataclass(frozen=True, slots=True)
class PaidSpan:
    """The payments that are counted: those whose money arrived from `begin` on and before `end`.

    `known_since`: older money that was never reported to us is not ours to record. What moved after `settled_at` may
    still be on its way to us.
    """

    begin: datetime
    end: datetime | None
    known_since: datetime
    settled_at: datetime

    def contains(self, moment: datetime | None) -> bool:
        """Whether money of that moment is counted."""
        return moment is not None and self.begin <= moment and (self.end is None or moment < self.end)


@dataclass(frozen=True, slots=True)
class _Held:
    """A live payment in Invoice Ninja; `currency` is "" when it is not known."""

    number: str
    left: Decimal
    currency: str
    date: str


@dataclass(frozen=True, slots=True)
class _Money:
    """One payment before it is compared; amounts in minor units."""

    identity: str
    references: tuple[str, ...]
    currency: str
    received: int
    returned: int
    is_own_gateway: bool
    is_fresh: bool


class MoneyBalance:
    """One count. `stripe` None: our own table says what was received."""

    def __init__(
        self,
        books: BalanceBooks,
        records: MoneyRecords,
        stripe: StripeLists | None,
        *,
        progress: Progress = lambda _text, _count: None,
    ) -> None:
        self._books = books
        self._records = records
        self._stripe = stripe
        self._progress = progress
        self._report = MoneyReport(by_stripe=stripe is not None)
        self._held: dict[str, dict[str, _Held]] = {}
        self._seen: set[str] = set()

    async def count(self, span: PaidSpan) -> MoneyReport:
        """Count everything in the span.

        Raises:
            RemoteError: Stripe or Invoice Ninja cannot be read.
        """
        await self._collect_held(span)
        if self._stripe is not None:
            await self._count_lists(self._stripe, span)
        await self._count_records(span)
        await self._count_rest(span)
        return self._report

    async def _collect_held(self, span: PaidSpan) -> None:
        currencies = (await self._books.statics()).currencies
        number = 0
        async for payment in self._books.payments_since(_unix(span.begin - SLOW_MONEY - _SKEW)):
            number += 1
            if number % BATCH == 0:
                self._progress("payments in Invoice Ninja", number)
            if payment.is_deleted:
                continue
            currency = currencies.get(payment.currency_id)
            left = payment.amount - payment.refunded
            held = _Held(payment.number, left, currency.code if currency else "", payment.date)
            for key in {payment.transaction_reference, payment.number.partition("-")[0]}:
                if key.startswith(_OUR_NUMBERS):
                    self._held.setdefault(key, {})[payment.id] = held
            # What a person entered under another reference is found by the id that our record has of it.
            self._held.setdefault(payment.id, {})[payment.id] = held

    async def _count_lists(self, stripe: StripeLists, span: PaidSpan) -> None:
        moves = Moves()
        begin = _unix(span.begin - SLOW_MONEY)
        for listed in (stripe.refunds(begin), stripe.disputes(begin)):
            async for move in listed:
                moves.add(move)
        for payments in (stripe.intents(begin), stripe.lone_charges(begin)):
            batch: list[PaymentLook] = []
            async for shown in payments:
                look = self._look([shown, *moves.take(str(shown.get("id")))], span)
                if look is not None:
                    batch.append(look)
                if len(batch) == BATCH:
                    await self._count_looks(batch, span)
                    batch = []
            await self._count_looks(batch, span)

    def _look(self, objects: Sequence[Json], span: PaidSpan) -> PaymentLook | None:
        try:
            look = look_at(objects, is_whole=True)
        except BadStripeObject as error:
            self._report.not_counted.append(f"{objects[0].get('id')} cannot be read: {error}")
            return None
        return look if look.facts.received and span.contains(_moment(look.facts.paid_at)) else None

    async def _count_looks(self, looks: Sequence[PaymentLook], span: PaidSpan) -> None:
        records = await self._records.many([look.facts.identity for look in looks])
        found = []
        for look in looks:
            record = records.get(look.facts.identity)
            if record is None and (_moment(look.facts.paid_at) or span.begin) < span.known_since:
                continue
            found.append(_of_stripe(look, span))
        await self._compare(found, records)

    async def _count_records(self, span: PaidSpan) -> None:
        """Without a key everything; with one what Stripe does not list, as what was paid past Stripe."""
        batch: list[PaymentRecord] = []
        async for record in self._records.paid_between(span.begin, span.end):
            if record.identity not in self._seen:
                batch.append(record)
            if len(batch) == BATCH:
                await self._compare_records(batch)
                batch = []
        await self._compare_records(batch)

    async def _compare_records(self, records: Sequence[PaymentRecord]) -> None:
        await self._compare([_of_record(one) for one in records], {one.identity: one for one in records})

    async def _count_rest(self, span: PaidSpan) -> None:
        """What Invoice Ninja holds under numbers of ours, of which nothing else tells."""
        ours = [key for key in self._held if key.startswith(_OUR_NUMBERS) and key not in self._seen]
        numbers = [key for key in ours if any(row.number.startswith(key) for row in self._held[key].values())]
        for some in _batches(numbers):
            records = await self._records.many(some)
            self._report.add(
                CountedPayment(key, held.currency or "?", _ZERO, _ZERO, held.left)
                for key in some
                if key not in records
                for held in self._held[key].values()
                if span.contains(_day(held.date)) and held.left
            )

    async def _compare(self, found: Sequence[_Money], records: Mapping[str, PaymentRecord]) -> None:
        if not found:
            return
        counted = [one for money in found if (one := self._counted(money, records.get(money.identity))) is not None]
        fresh = {money.identity for money in found if money.is_fresh}
        subjects = {_subject(one.identity, records): one.identity for one in counted if one.difference}
        waiting = await self._records.unfinished(list(subjects)) if subjects else {}
        under_way = {subjects[subject] for subject in waiting} | fresh
        self._report.add(
            replace(one, place="under_way") if one.difference and one.identity in under_way else one for one in counted
        )
        self._progress("payments counted", sum(one.payments for one in self._report.currencies.values()))

    def _counted(self, money: _Money, record: PaymentRecord | None) -> CountedPayment | None:
        keys = (*money.references, record.payment_id if record else "")
        held = {row_id: row for key in keys for row_id, row in self._held.get(key, {}).items()}
        self._seen |= {money.identity, *money.references}
        try:
            received, returned = (to_major(amount, money.currency) for amount in (money.received, money.returned))
        except MoneyError as error:
            self._report.not_counted.append(f"{money.identity} cannot be counted: {error}")
            return None
        place, reason = _place(money, record, list(held.values()))
        recorded = sum((row.left for row in held.values()), _ZERO) if place == "recorded" else _ZERO
        return CountedPayment(money.identity, money.currency, received, returned, recorded, place, reason)


def _place(money: _Money, record: PaymentRecord | None, held: Sequence[_Held]) -> tuple[MoneyPlace, str]:
    """Where the money is, and for ignored money why."""
    if money.is_own_gateway:
        return "ignored", _OWN_GATEWAY
    foreign = sorted({row.currency for row in held if row.currency not in {"", money.currency}})
    if foreign:
        return "ignored", f"a person entered it in {', '.join(foreign)}"
    if held or record is None:
        return "recorded", ""
    if record.status in {"unmatched", "needs_person"}:
        return "unmatched", ""
    return ("ignored", record.reason) if record.status == "ignored" else ("recorded", "")


def _of_stripe(look: PaymentLook, span: PaidSpan) -> _Money:
    facts = look.facts
    return _Money(
        identity=facts.identity,
        references=facts.references,
        currency=facts.currency or "",
        received=facts.received,
        returned=look.goal.refunded,
        is_own_gateway=facts.own_gateway,
        is_fresh=look.moved_at > _unix(span.settled_at),
    )


def _of_record(record: PaymentRecord) -> _Money:
    return _Money(
        identity=record.identity,
        references=(record.identity,),
        currency=record.currency,
        received=record.amount,
        returned=record.refunded,
        is_own_gateway=record.status == "own_gateway",
        is_fresh=False,
    )


def _subject(identity: str, records: Mapping[str, PaymentRecord]) -> str:
    record = records.get(identity)
    return record.subject if record else f"{PAYMENT}{identity}"


def _batches(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + BATCH] for start in range(0, len(keys), BATCH))


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _moment(unix: int | None) -> datetime | None:
    return None if unix is None else datetime.fromtimestamp(unix, UTC)


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())
