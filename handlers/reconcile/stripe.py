"""Finds payments, refunds and disputes that no webhook reported, and enqueues them.

Stripe's lists are compared with our table of payments and with Invoice Ninja's payments, all read in pages. Only what
began before the lists and moved since is asked for one by one. A page at a time is held, beside the refunds, disputes
and the sums of Invoice Ninja's payments of the window.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from handlers.errors import NotFound
from handlers.payments.facts import PAYMENT
from handlers.ports.billing import Json, PaymentRecord
from handlers.ports.context import Clock
from handlers.ports.events import DifferenceSink
from handlers.reconcile.reconcile_stripe_look import PaymentLook, look_at, may_differ
from handlers.reconcile.stripe_compare import content_mark, judge
from handlers.reconcile.stripe_models import (
    LATE_REFUNDS,
    LONG_DISPUTES,
    SLOW_MONEY,
    BookRow,
    Known,
    Moves,
    ReconcileBooks,
    Records,
    StripeDifference,
    StripeLists,
    StripeReport,
    StripeScope,
    row_of,
)
from mappings.stripe import BadStripeObject
from mappings.values.money import money

BATCH = 100
_SKEW = timedelta(days=1)
"""Invoice Ninja's clock may be wrong, and its list is cheap."""

Progress = Callable[[str, int], None]


@dataclass(slots=True)
class _Tally:
    looked_at: int = 0
    items_read: int = 0
    postponed: int = 0
    waiting: int = 0
    left_alone: int = 0
    differences: list[StripeDifference] = field(default_factory=list)
    under_way: list[StripeDifference] = field(default_factory=list)
    told_before: list[StripeDifference] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class StripeReconciliation:
    """One run. With `door` None nothing is put in: a dry run."""

    def __init__(
        self,
        stripe: StripeLists,
        books: ReconcileBooks,
        records: Records,
        clock: Clock,
        sink: DifferenceSink[StripeDifference] | None,
        *,
        progress: Progress = lambda _text, _count: None,
    ) -> None:
        self._stripe = stripe
        self._books = books
        self._records = records
        self._clock = clock
        self._sink = sink
        self._progress = progress
        self._tally = _Tally()
        self._moves = Moves()
        self._rows: dict[str, list[BookRow]] = {}

    async def run(self, scope: StripeScope) -> StripeReport:
        """Look at everything in the scope.

        Raises:
            RemoteError: Stripe or Invoice Ninja cannot be read; what was put in until then stays.
        """
        begin = _unix(scope.since - SLOW_MONEY)
        await self._collect_moves(scope)
        await self._collect_rows(_unix(scope.since - SLOW_MONEY - _SKEW))
        await self._compare_all(self._stripe.intents(begin), scope)
        await self._compare_all(self._stripe.lone_charges(begin), scope)
        await self._compare_older(scope)
        tally = self._tally
        return StripeReport(
            tally.looked_at,
            tally.items_read,
            tally.postponed,
            tally.waiting,
            tally.left_alone,
            tuple(tally.differences),
            tuple(tally.under_way),
            tuple(tally.told_before),
            tuple(tally.problems),
        )

    async def _collect_moves(self, scope: StripeScope) -> None:
        lists = (
            ("refunds", self._stripe.refunds(_unix(scope.since - LATE_REFUNDS))),
            ("disputes", self._stripe.disputes(_unix(scope.since - LONG_DISPUTES))),
        )
        for name, moves in lists:
            count = 0
            async for move in moves:
                self._moves.add(move)
                count += 1
                if count % BATCH == 0:
                    self._progress(f"{name} at Stripe", count)

    async def _collect_rows(self, since: int) -> None:
        """The payments in Invoice Ninja, by every id under which they may stand for money at Stripe."""
        count = 0
        async for payment in self._books.payments_since(since):
            row = row_of(payment)
            for key in {payment.transaction_reference, payment.number.partition("-")[0]}:
                if key.startswith(("pi_", "ch_", "py_")):
                    self._rows.setdefault(key, []).append(row)
            count += 1
            if count % BATCH == 0:
                self._progress("payments in Invoice Ninja", count)

    async def _compare_all(self, payments: AsyncIterator[Json], scope: StripeScope) -> None:
        batch: list[PaymentLook] = []
        async for shown in payments:
            look = self._look([shown, *self._moves.take(str(shown.get("id")))], is_whole=True)
            if look is not None:
                batch.append(look)
            if len(batch) == BATCH:
                await self._compare(batch, scope)
                batch = []
        await self._compare(batch, scope)

    async def _compare_older(self, scope: StripeScope) -> None:
        """Refunds and disputes of payments that began before the lists."""
        left = self._moves.of_payment
        while left:
            some = {key: left.pop(key) for key in list(left)[:BATCH]}
            records = await self._records.many(some)
            odd = [key for key, moves in some.items() if self._is_odd(records.get(key), moves, scope)]
            await self._compare([look for key in odd if (look := await self._read(key, scope))], scope)

    def _is_odd(self, record: PaymentRecord | None, moves: Sequence[Json], scope: StripeScope) -> bool:
        try:
            return may_differ(record, moves, _unix(scope.since))
        except BadStripeObject as error:
            self._tally.problems.append(f"{moves[0].get('id')} cannot be read: {error}")
            return False

    async def _read(self, key: str, scope: StripeScope) -> PaymentLook | None:
        if self._tally.items_read >= scope.most_reads:
            self._tally.postponed += 1
            return None
        self._tally.items_read += 1
        try:
            return self._look(await self._stripe.whole(key), is_whole=False)
        except NotFound:
            self._tally.problems.append(f"{key} was refunded or disputed, but Stripe does not know it")
            return None

    def _look(self, objects: Sequence[Json], *, is_whole: bool) -> PaymentLook | None:
        """What the objects of one payment say; None when no money came with it, or they cannot be read."""
        try:
            look = look_at(objects, is_whole=is_whole)
        except BadStripeObject as error:
            self._tally.problems.append(f"{objects[0].get('id')} cannot be read: {error}")
            return None
        return look if look.facts.received else None

    async def _compare(self, looks: Sequence[PaymentLook], scope: StripeScope) -> None:
        if not looks:
            return
        self._tally.looked_at += len(looks)
        self._progress("payments compared", self._tally.looked_at)
        records = await self._records.many([look.facts.identity for look in looks])
        found = [await self._judged(look, records.get(look.facts.identity), scope) for look in looks]
        await self._put([one for one in found if one is not None])

    async def _judged(
        self, look: PaymentLook, record: PaymentRecord | None, scope: StripeScope
    ) -> StripeDifference | None:
        if look.facts.own_gateway:
            self._tally.left_alone += 1
            return None
        if record is None and look.moved_at < _unix(scope.since):
            # Money from before the time that is asked about, of which nobody ever told us.
            return None
        rows = self._rows_of(look) if look.is_whole_in_books else None
        judgement = judge(look.goal, record, rows)
        if judgement.verdict == "differs" and record is not None and rows is not None:
            rows = await self._rows_now(look, rows, scope)
            judgement = judge(look.goal, record, rows)
        if judgement.verdict == "waiting":
            self._tally.waiting += 1
        elif judgement.verdict == "left_alone":
            self._tally.left_alone += 1
        elif judgement.verdict == "differs":
            return self._difference(look, judgement.why, content_mark(look.goal, record, rows), scope)
        return None

    def _difference(self, look: PaymentLook, why: str, content: str, scope: StripeScope) -> StripeDifference | None:
        now = self._clock()
        # Without such a time nothing is put off: what our clock says of Stripe's would decide what is found.
        if scope.settling and look.moved_at > _unix(now - scope.settling):
            self._tally.postponed += 1
            return None
        identity, amount = look.facts.identity, money(look.goal.paid, look.goal.currency)
        return StripeDifference(identity, f"{PAYMENT}{identity}", why, amount, content, look.shown, now)

    def _rows_of(self, look: PaymentLook) -> list[BookRow]:
        found = {id(row): row for key in look.goal.references for row in self._rows.get(key, ())}
        return list(found.values())

    async def _rows_now(self, look: PaymentLook, listed: list[BookRow], scope: StripeScope) -> list[BookRow]:
        """Looked at again: the worker goes on while the lists are read."""
        if self._tally.items_read >= scope.most_reads:
            return listed
        self._tally.items_read += 1
        found = {one.id: one for one in await self._books.payments_referring_to(look.goal.references)}
        numbered = await self._books.find_payment(look.goal.key)
        found |= {numbered.id: numbered} if numbered else {}
        return [row_of(one) for one in found.values()]

    async def _put(self, found: Sequence[StripeDifference]) -> None:
        if not found:
            return
        unfinished = await self._records.unfinished([one.subject for one in found])
        told = await self._records.told([one.key for one in found])
        sorted_out = [_sorted_out(one, unfinished, told) for one in found]
        fresh = [one for one in sorted_out if one.handling == "put"]
        self._tally.under_way += [_light(one) for one in sorted_out if one.handling == "under_way"]
        self._tally.told_before += [_light(one) for one in sorted_out if one.handling == "told_before"]
        if self._sink is not None:
            await self._sink.enqueue(fresh)
        self._tally.differences += [_light(one) for one in fresh]


def _sorted_out(one: StripeDifference, unfinished: Mapping[str, Known], told: Mapping[str, Known]) -> StripeDifference:
    known = unfinished.get(one.subject)
    if known is not None:
        return replace(one, handling="under_way", event=f"{known.event_id}: {known.status}")
    known = told.get(one.key)
    # A dead one is put back to work by being told again.
    if known is None or known.status == "dead":
        return one
    return replace(one, handling="told_before", event=f"{known.event_id}: {known.status}, {known.reason}")


def _light(one: StripeDifference) -> StripeDifference:
    """Without the object, which is stored: thousands of findings must not be held in memory."""
    return replace(one, shown={})


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())
