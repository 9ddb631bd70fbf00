"""The payments in Invoice Ninja that stand for one payment at Stripe: reading them, and each single change.

Exactly one effect: what has a number is looked up by it after every doubtful answer; what adds (applying, refunding) is
read again and compared, never repeated blindly.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from handlers.errors import (
    Doubtful,
    NeedsPerson,
    NotFound,
    Rejected,
    RemoteError,
    RetryLater,
    ServerError,
    Throttled,
    WorkError,
)
from handlers.payments.amounts import used_for
from handlers.ports.billing import PaymentRecord, PaymentWorld
from handlers.ports.context import Clock
from mappings.codes import Code
from mappings.invoiceninja.models import Allocation, Invoice, Payment, PaymentDraft
from mappings.values.money import MoneyError, to_major

APART = timedelta(seconds=1.2)
"""Invoice Ninja refuses an equal payment of a client within a second (docs/facts/invoice-ninja.md section 1)."""

POSTING = "payments of the company"
"""The lock around POST /payments: two at a time would raise a client's paid_to_date for good (facts section 4)."""

_HAIR = Decimal("0.000000001")
"""So much less is sent where Invoice Ninja's binary fractions refuse an exact amount; it stores six decimals, which
makes it the exact amount again (docs/facts/invoice-ninja-2.md section 11)."""

_UNCERTAIN = (Doubtful, ServerError)
_ZERO = Decimal(0)


class PaymentGone(WorkError):
    """Every payment that stood for this money was deleted in Invoice Ninja: a person meant something by it."""


class PaymentRows:
    """What Invoice Ninja holds for one payment at Stripe; `record` is our memory of it, kept up to date and saved.

    `draft` is the payment as it would be recorded: its number is the id at Stripe.
    """

    def __init__(
        self, record: PaymentRecord, draft: PaymentDraft, invoice: Invoice | None, world: PaymentWorld, clock: Clock
    ) -> None:
        self.record = record
        self.draft = draft
        self.invoice = invoice
        self.world = world
        self.done: list[str] = []
        self._clock = clock
        self._rows: dict[str, Payment] = {}

    @property
    def key(self) -> str:
        """The id of the payment at Stripe."""
        return self.draft.number

    @property
    def live(self) -> list[Payment]:
        """The payments that count, the first one first."""
        rows = (row for row in self._rows.values() if not row.is_deleted)
        return sorted(rows, key=lambda row: (row.number != self.key, len(row.number), row.number))

    @property
    def refunded(self) -> Decimal:
        """What Invoice Ninja shows as given back."""
        return sum((row.refunded for row in self.live), _ZERO)

    @property
    def covered(self) -> Decimal:
        """What the money pays of the invoice now."""
        if self.invoice is None:
            return _ZERO
        return sum((used_for(row, self.invoice.id) for row in self.live), _ZERO)

    async def load(self, references: Sequence[str], decided_at: datetime | None) -> None:
        """Read what stands for this money: by what we remember, else by number and by every id it may have.

        Raises:
            PaymentGone: it was recorded and deleted, and nobody decided anything about it since (`decided_at`).
            NeedsPerson: it is recorded for another client.
        """
        self._rows = {row.id: row for row in await find_recorded(self.record, references, self.world)}
        if self._rows and not self.live:
            last = max(self._rows.values(), key=lambda row: row.updated_at)
            if decided_at is None or decided_at.timestamp() < last.updated_at:
                raise PaymentGone(f"payment {last.number} was deleted in Invoice Ninja")
        for row in self.live:
            if row.client_id != self.draft.client_id:
                raise NeedsPerson(
                    Code.PAYMENT_CLIENT_DIFFERS,
                    f"payment {self.key} is recorded for client {row.client_id} (payment {row.number}), but its "
                    f"invoice belongs to client {self.draft.client_id}",
                    "correct or delete that payment in Invoice Ninja, then replay this event",
                )
        await self._follow()

    async def _follow(self) -> None:
        """Where a person recorded it for another invoice of the client, that one counts."""
        used = [part.invoice_id for row in self.live for part in row.paymentables if part.invoice_id]
        if used and (self.invoice is None or self.invoice.id not in used):
            self.invoice = await self.world.books.invoice(used[0])

    @property
    def invoice_id(self) -> str:
        """The invoice's id, "" when there is none."""
        return self.invoice.id if self.invoice else ""

    @property
    def invoice_number(self) -> str:
        """The invoice's number, "" when there is none."""
        return self.invoice.number if self.invoice else ""

    async def look_again(self) -> Invoice | None:
        """The invoice as it is now."""
        if self.invoice is not None:
            self.invoice = await self.world.books.invoice(self.invoice.id)
        return self.invoice

    async def wait_turn(self, amount: Decimal) -> None:
        """Keep equal payments of a client apart, and remember this one before it is sent.

        Raises:
            RetryLater: the last equal one was sent a moment ago.
        """
        now = self._clock()
        last = await self.world.memory.last_posted(self.draft.client_id, amount)
        # A moment in the future is another worker's clock: waiting for it could take for ever.
        if last is not None and timedelta(0) <= now - last < APART:
            left = (last + APART - now).total_seconds()
            raise RetryLater(
                Code.EQUAL_PAYMENT_RECENT,
                f"an equal payment of client {self.draft.client_id} was sent a moment ago",
                left,
            )
        await self.save(
            client_id=self.draft.client_id,
            invoice_id=self.invoice_id,
            invoice_number=self.invoice_number,
            posted_at=now,
            posted_amount=amount,
        )

    async def post(self, draft: PaymentDraft) -> Payment:
        """POST a payment whose number makes it the only one; whatever the answer is, it is looked up by that."""
        async with self.world.exclusive(POSTING):
            try:
                return await self.world.books.create_payment(draft)
            except (Rejected, Throttled, *_UNCERTAIN) as error:
                found = await self.world.books.find_payment(draft.number)
                if found is not None and not found.is_deleted:
                    return found
                await self._explain(error)
                raise

    async def apply(self, row: Payment, part: Decimal) -> None:
        """Use more of a payment for the invoice."""
        self._rows[row.id] = await self._applied(row, part)
        self.done.append(f"{part} {self.record.currency} of it used for invoice {self.invoice_number}")

    async def apply_other(self, row: Payment, part: Decimal) -> None:
        """Use more of another payment for the invoice."""
        await self._applied(row, part)
        self.done.append(
            f"{part} {self.record.currency} of payment {row.number} used for invoice {self.invoice_number}"
        )

    async def _applied(self, row: Payment, part: Decimal) -> Payment:
        try:
            after = await self.world.books.apply_payment(row.id, (Allocation(self.invoice_id, part),))
        except _UNCERTAIN:
            after = await self.world.books.payment(row.id)
            if after.applied != row.applied + part:
                raise
        except Rejected as error:
            await self._explain(error)
            raise
        return after

    async def note_refund(self, row: Payment, date: str, parts: tuple[Allocation, ...], amount: Decimal) -> None:
        """Note that a part of a payment went back; `parts` are empty for money of no invoice."""
        try:
            after = await self._refunded(row, date, parts, amount)
        except Rejected as error:
            await self._explain(error)
            if not (error.names("id") and await self._may_be_a_hair_short(row, parts, amount)):
                raise
            after = await self._refunded(row, date, parts, amount, less=_HAIR)
        self._rows[row.id] = after
        self.done.append(f"{amount} {self.record.currency} refunded")

    async def _refunded(
        self, row: Payment, date: str, parts: tuple[Allocation, ...], amount: Decimal, less: Decimal = _ZERO
    ) -> Payment:
        """The payment after the refund of `amount`, of which `less` is left out of what is sent."""
        sent = tuple(replace(part, amount=part.amount - less) for part in parts)
        try:
            after = await self.world.books.refund_payment(row.id, date, sent, amount=None if parts else amount - less)
        except _UNCERTAIN:
            after = await self.world.books.payment(row.id)
            if after.refunded != row.refunded + amount:
                raise
        return after

    async def _may_be_a_hair_short(self, row: Payment, parts: tuple[Allocation, ...], amount: Decimal) -> bool:
        """Whether the payment has this much left in exact numbers, so that only binary fractions can refuse it."""
        now = await self.world.books.payment(row.id)
        if now.refunded != row.refunded:
            return False
        if not parts:
            return now.amount - now.refunded >= amount
        return all(used_for(now, part.invoice_id) >= part.amount for part in parts)

    async def save(self, **changes: object) -> None:
        """Change the record and store it."""
        changed = replace(self.record, **changes)  # type: ignore[arg-type]  # the names are those of the record
        if changed != self.record:
            self.record = changed
            await self.world.memory.save(changed)

    async def _explain(self, error: RemoteError) -> None:
        """A refusal may only mean that somebody else paid or changed the invoice between our look and our write.

        Raises:
            RetryLater: it changed.
        """
        before = self.invoice
        if not isinstance(error, Rejected) or before is None:
            return
        now = await self.look_again()
        if now is not None and (now.balance, now.status_id) != (before.balance, before.status_id):
            raise RetryLater(Code.CHANGED_MEANWHILE, f"invoice {now.number} changed just now; retrying", 1) from error


async def find_recorded(record: PaymentRecord, references: Sequence[str], world: PaymentWorld) -> list[Payment]:
    """The payments in Invoice Ninja that stand for this money, deleted ones included."""
    if record.payment_id:
        try:
            known = await world.books.payment(record.payment_id)
        except NotFound:
            known = None
        if known is not None and not known.is_deleted and not known.refunded and _is_all(known, record):
            return [known]
    by_number = await world.books.find_payment(record.identity)
    found = [*([by_number] if by_number else []), *await world.books.payments_referring_to(references)]
    # Most are found in both ways: counted twice, their money would be spent twice.
    return list({row.id: row for row in found}.values())


def _is_all(row: Payment, record: PaymentRecord) -> bool:
    """Whether one payment holds all the money; what came in parts has several."""
    try:
        return row.amount == to_major(record.amount, record.currency)
    except MoneyError:
        return False
