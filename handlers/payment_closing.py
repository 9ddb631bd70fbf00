"""`on_refund: close`: what a refund opened again is settled by a credit, so that nobody is reminded of it.

Money given back is not owed again. Credit and the payment that uses it are numbered `<id>-C1`, `<id>-C2`, ...; when the
money comes back after all, both are deleted and the money takes their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import Doubtful, NeedsPerson, Rejected, ServerError, Throttled
from handlers.payment_amounts import Amounts, open_amount, used_for
from handlers.payment_ledger import PaymentLedger
from handlers.payment_rows import CLOSING
from mappings.ninja import Allocation, Invoice, InvoiceDraft, InvoiceLine, LineType, Payment, PaymentDraft

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Closer:
    """A credit of ours and the payment that uses it; either may be missing or deleted after a crash."""

    number: str
    credit: Invoice | None
    payment: Payment | None

    @property
    def is_live(self) -> bool:
        """Whether it settles something."""
        return self.payment is not None and not self.payment.is_deleted

    @property
    def is_half_undone(self) -> bool:
        """Whether the payment is deleted and the credit still there: the client could use it."""
        has_credit = self.credit is not None and not self.credit.is_deleted
        return has_credit and self.payment is not None and self.payment.is_deleted

    @property
    def is_half_made(self) -> bool:
        """Whether the credit was made and not used yet."""
        return self.credit is not None and not self.credit.is_deleted and self.payment is None


async def settle_reopened(ledger: PaymentLedger, amounts: Amounts, date: str, *, close: bool) -> None:
    """Settle what refunds opened again, and no more: what money came back for is opened for that money.

    Raises:
        NeedsPerson: the credit came out over another amount.
    """
    if not ledger.refunded or ledger.invoice is None:
        return
    closers = await _find(ledger)
    for closer in closers:
        if closer.is_half_undone:
            await _undo(closer, ledger)
    closed = _closed(closers, ledger.invoice_id)
    settled = ledger.record.covered or _ZERO
    if closed > settled - min(settled, amounts.kept):
        for closer in closers:
            if closer.is_live:
                await _undo(closer, ledger)
        closed = _ZERO
        ledger.done.append("the credit for the refund was taken back: the money is there again")
        await ledger.use_spare()
    invoice = await ledger.look_again()
    missing = min(settled - ledger.covered - closed, open_amount(invoice) if invoice else _ZERO)
    if close and missing > 0:
        await _close(ledger, missing, date, closers)


async def _find(ledger: PaymentLedger) -> list[Closer]:
    found: list[Closer] = []
    while True:
        number = f"{ledger.key}{CLOSING}{len(found) + 1}"
        credit = await ledger.world.books.find_credit(number)
        payment = await ledger.world.books.find_payment(number)
        if credit is None and payment is None:
            return found
        found.append(Closer(number, credit, payment))


def _closed(closers: Sequence[Closer], invoice_id: str) -> Decimal:
    payments = (closer.payment for closer in closers if closer.is_live)
    return sum((used_for(payment, invoice_id) for payment in payments if payment is not None), _ZERO)


async def _undo(closer: Closer, ledger: PaymentLedger) -> None:
    """Delete the payment first: a credit that is in use would leave its invoice settled by nothing."""
    if closer.payment is not None and not closer.payment.is_deleted:
        await ledger.world.books.delete_payment(closer.payment.id)
    if closer.credit is not None and not closer.credit.is_deleted:
        await ledger.world.books.delete_credit(closer.credit.id)


async def _close(ledger: PaymentLedger, missing: Decimal, date: str, closers: Sequence[Closer]) -> None:
    last = closers[-1] if closers else None
    if last is not None and last.is_half_made and last.credit is not None and last.credit.amount == missing:
        credit = last.credit
    else:
        if last is not None and last.is_half_made:
            await _undo(last, ledger)
        credit = await _make_credit(ledger, missing, date, f"{ledger.key}{CLOSING}{len(closers) + 1}")
    if credit.amount != missing:
        raise NeedsPerson(
            f"credit {credit.number} for the refund of payment {ledger.key} came out as {credit.amount} instead of "
            f"{missing}",
            "look which taxes or surcharges Invoice Ninja adds to credits, delete that credit, then replay this event",
        )
    await ledger.wait_turn(_ZERO)
    await ledger.post(
        PaymentDraft(
            number=credit.number,
            client_id=ledger.draft.client_id,
            amount=_ZERO,
            date=date,
            transaction_reference=ledger.key,
            private_notes=f"Uses credit {credit.number}: what was refunded through Stripe is not owed again",
            invoices=(Allocation(ledger.invoice_id, missing),),
            credits={credit.id: missing},
        )
    )
    ledger.done.append(f"{missing} {ledger.record.currency} settled by credit {credit.number}: not owed again")


async def _make_credit(ledger: PaymentLedger, amount: Decimal, date: str, number: str) -> Invoice:
    line = InvoiceLine(
        notes=f"Refunded through Stripe ({ledger.key})", quantity=Decimal(1), cost=amount, type_id=LineType.PRODUCT
    )
    draft = InvoiceDraft(client_id=ledger.draft.client_id, date=date, lines=(line,), number=number)
    try:
        return await ledger.world.books.create_credit(draft)
    except (Rejected, Throttled, Doubtful, ServerError):
        found = await ledger.world.books.find_credit(number)
        if found is None or found.is_deleted:
            raise
        return found
