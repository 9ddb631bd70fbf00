"""What Invoice Ninja's payments should be for one payment at Stripe, and the steps there.

The first carries the payment's id as number. A refund cannot be undone in Invoice Ninja: money that comes back, because
a refund failed later, becomes a further payment numbered `<id>-2`.
"""

from dataclasses import replace
from decimal import Decimal

from handlers.errors import NeedsPerson
from handlers.payments.amounts import Amounts, open_amount, spare
from handlers.payments.ledger_rows import PaymentRows
from mappings.codes import Code
from mappings.invoiceninja.models import Allocation, Payment

_ZERO = Decimal(0)


class PaymentLedger(PaymentRows):
    """One payment at Stripe in Invoice Ninja's books. Load it, pay, refund; each step may be done again."""

    async def pay(self, amounts: Amounts) -> None:
        """Record what arrived and is not recorded yet, and use it for the invoice as far as that is open.

        Raises:
            NeedsPerson: it is recorded over another amount.
            RetryLater: the invoice changed at this moment, or an equal payment was just sent.
        """
        total = sum((row.amount for row in self.live), _ZERO)
        # A capture in parts grows; what a person entered does not.
        grew = total < amounts.paid and all(self._is_ours(row) for row in self.live)
        if self.live and not grew and (total < amounts.paid or total - self.refunded > amounts.paid):
            numbers = ", ".join(row.number for row in self.live)
            raise NeedsPerson(
                Code.PAYMENT_AMOUNT_DIFFERS,
                f"Invoice Ninja's payment {numbers} is over {amounts.shown(total)}, Stripe's {self.key} over "
                f"{amounts.shown(amounts.paid)}",
                "correct or delete the payment in Invoice Ninja, then replay this event",
            )
        returned = max(self.refunded - amounts.refunded, _ZERO)
        missing = amounts.paid + returned - total
        if missing > 0:
            await self._record(missing)
            self.done.append(f"{amounts.shown(missing)} recorded as payment {self.live[-1].number}")
        await self.use_spare()
        await self._remember_covered(amounts)

    async def use_spare(self) -> None:
        """Use what is left of the money for the invoice, as far as that is open: also what a crash left unapplied."""
        for row in self.live:
            if not spare(row) or self.invoice is None:
                continue
            await self.look_again()
            part = min(spare(row), open_amount(self.invoice))
            if part > 0:
                await self.apply(row, part)

    async def refund(self, amounts: Amounts, date: str) -> None:
        """Note what went back, by the difference to what Invoice Ninja shows.

        Raises:
            NeedsPerson: nothing is left to refund.
        """
        while (due := self._due(amounts)) > 0:
            await self._refund_some(due, date)
        await self.use_spare()

    async def _record(self, amount: Decimal) -> None:
        await self.wait_turn(amount)
        part = min(amount, open_amount(self.invoice)) if self.invoice else _ZERO
        used = (Allocation(self.invoice.id, part),) if self.invoice and part > 0 else ()
        made = await self.post(replace(self.draft, number=self._next_number(), amount=amount, invoices=used))
        self._rows[made.id] = made
        await self.save(payment_id=self.live[0].id, payment_number=self.live[0].number, type_id=self.draft.type_id)

    def _is_ours(self, row: Payment) -> bool:
        return row.number == self.key or row.number.startswith(f"{self.key}-")

    def _next_number(self) -> str:
        numbers = {row.number for row in self._rows.values()}
        if self.key not in numbers and not self._rows:
            return self.key
        return next(number for number in (f"{self.key}-{n}" for n in range(2, 1000)) if number not in numbers)

    async def _remember_covered(self, amounts: Amounts) -> None:
        """The most that this money ever paid of the invoice: so much of it must not be owed again after a refund."""
        paid = sum(
            (part.amount for row in self.live for part in row.paymentables if part.invoice_id == self.invoice_id),
            _ZERO,
        )
        known = self.record.covered if self.record.covered is not None else min(paid, amounts.paid)
        await self.save(
            covered=max(known, min(self.covered, amounts.paid)),
            payment_id=self.live[0].id,
            payment_number=self.live[0].number,
            invoice_id=self.invoice_id,
            invoice_number=self.invoice_number,
            client_id=self.draft.client_id,
        )

    def _due(self, amounts: Amounts) -> Decimal:
        total = sum((row.amount for row in self.live), _ZERO)
        return total - self.refunded - amounts.kept

    async def _refund_some(self, due: Decimal, date: str) -> None:
        """One step: money of no invoice first, then what invoices hold, then what is left beside an invoice."""
        for row in self.live:
            if not any(part.invoice_id for part in row.paymentables) and spare(row):
                await self.note_refund(row, date, (), min(due, spare(row)))
                return
        for row in self.live:
            for part in row.paymentables:
                left = min(due, part.amount - part.refunded)
                if part.invoice_id and left > 0:
                    await self.note_refund(row, date, (Allocation(part.invoice_id, left),), left)
                    return
        await self._use_for_refund(due)

    async def _use_for_refund(self, due: Decimal) -> None:
        """Invoice Ninja refunds only what an invoice holds: let it hold the rest for a moment."""
        await self.look_again()
        for row in self.live:
            part = min(spare(row), due, open_amount(self.invoice)) if self.invoice else _ZERO
            if part > 0:
                await self.apply(row, part)
                return
        raise NeedsPerson(
            Code.REFUND_TOO_LARGE,
            f"{due} {self.record.currency} of payment {self.key} went back at Stripe, but Invoice Ninja's payment "
            f"{self.record.payment_number} has nothing left to refund",
            "correct the payment in Invoice Ninja by hand, then replay this event",
        )
