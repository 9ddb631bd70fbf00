"""`on_refund: close`: what a refund opened again is settled by a credit, so that nobody is reminded of it.

Money given back is not owed again. The credit and the payment that uses it bear the refund's id (`re_...`, for a lost
dispute `du_...`) as number, or `<payment>-C1`, `-C2`, ... where an id does not fit. When the money comes back after
all, both are deleted and the money takes their place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import Doubtful, NeedsPerson, Rejected, ServerError, Throttled
from handlers.payments.amounts import Amounts, open_amount, spare, used_for
from handlers.payments.ledger import PaymentLedger
from handlers.payments.overdue import day_of
from handlers.payments.overpayments import cover_by, overpaid
from mappings.codes import Code
from mappings.invoiceninja.models import Allocation, Invoice, InvoiceDraft, InvoiceLine, LineType, Payment, PaymentDraft

_ZERO = Decimal(0)
_CLOSING = "-C"
"""In numbers of credits that fit no refund."""


@dataclass(frozen=True, slots=True)
class RefundCredit:
    """A credit of ours and the payment that uses it; either may be missing or deleted after a crash."""

    number: str
    credit: Invoice | None
    payment: Payment | None

    @property
    def is_known(self) -> bool:
        """Whether its number was ever used."""
        return self.credit is not None or self.payment is not None

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


async def settle_reopened(ledger: PaymentLedger, amounts: Amounts, zone: str, *, close: bool) -> None:
    """Settle what refunds opened again, and no more: what money came back for is opened for that money.

    Raises:
        NeedsPerson: the credit came out over another amount.
    """
    if not ledger.refunded or ledger.invoice is None:
        return
    came_back = ledger.refunded > amounts.refunded
    invoice = await ledger.look_again()
    others = await overpaid(ledger)
    is_open = invoice is not None and open_amount(invoice) > 0
    if not came_back and not others and not (close and is_open):
        return
    closers = await _find(ledger, amounts)
    # What a bank debit that came back had covered is owed again.
    settled = max((ledger.record.covered or _ZERO) - amounts.owed_again, _ZERO)
    there = sum((spare(row) for row in others), _ZERO)
    await _take_back(ledger, closers, amounts, max(settled - min(settled, amounts.kept) - there, _ZERO))
    await cover_by(ledger, others)
    if close:
        await _close_missing(ledger, closers, amounts, settled, zone)


async def _find(ledger: PaymentLedger, amounts: Amounts) -> list[RefundCredit]:
    """All credits that were ever made for this payment, and all that may be made next."""
    found = [await _closer(ledger, move) for move in amounts.moves]
    count = 1
    while (extra := await _closer(ledger, f"{ledger.key}{_CLOSING}{count}")).is_known:
        found.append(extra)
        count += 1
    return [*found, extra]


async def _closer(ledger: PaymentLedger, number: str) -> RefundCredit:
    credit = await ledger.world.books.find_credit(number)
    return RefundCredit(number, credit, await ledger.world.books.find_payment(number))


async def _take_back(ledger: PaymentLedger, closers: list[RefundCredit], amounts: Amounts, allowed: Decimal) -> None:
    """Delete the credits of refunds that did not last, and whatever else is settled twice."""
    present = {key for key, move in amounts.moves.items() if move.amount}
    for only_stale in (True, False):
        for index, closer in enumerate(closers):
            is_stale = closer.number in amounts.moves and closer.number not in present
            too_much = _closed(closers, ledger.invoice_id) > allowed and (is_stale or not only_stale)
            if closer.is_half_undone or (closer.is_live and too_much):
                closers[index] = await _undo(closer, ledger)
                ledger.done.append(f"credit {closer.number} removed: the money is there again")
    await ledger.use_spare()


async def _close_missing(
    ledger: PaymentLedger, closers: list[RefundCredit], amounts: Amounts, settled: Decimal, zone: str
) -> None:
    for closer in closers:
        if closer.is_live or (closer.is_known and not closer.is_half_made):
            continue
        invoice = await ledger.look_again()
        missing = settled - ledger.covered - _closed(closers, ledger.invoice_id)
        move = amounts.moves.get(closer.number)
        part = min(missing, move.amount if move else missing, open_amount(invoice) if invoice else _ZERO)
        if closer.credit is not None and closer.credit.amount != part:
            # Left by a crash, for an amount that is not right any more; its number stays taken.
            await _undo(closer, ledger)
        elif part > 0:
            closers[closers.index(closer)] = await _close(ledger, closer, part, amounts, zone)


def _closed(closers: Sequence[RefundCredit], invoice_id: str) -> Decimal:
    payments = (closer.payment for closer in closers if closer.is_live)
    return sum((used_for(payment, invoice_id) for payment in payments if payment is not None), _ZERO)


async def _undo(closer: RefundCredit, ledger: PaymentLedger) -> RefundCredit:
    """Delete the payment first: a credit that is in use would leave its invoice settled by nothing."""
    if closer.payment is not None and not closer.payment.is_deleted:
        await ledger.world.books.delete_payment(closer.payment.id)
    if closer.credit is not None and not closer.credit.is_deleted:
        await ledger.world.books.delete_credit(closer.credit.id)
    return await _closer(ledger, closer.number)


async def _close(
    ledger: PaymentLedger, closer: RefundCredit, missing: Decimal, amounts: Amounts, zone: str
) -> RefundCredit:
    moves = [amounts.moves[closer.number]] if closer.number in amounts.moves else list(amounts.moves.values())
    date = day_of(max(move.created for move in moves), zone) if moves else ledger.draft.date
    credit = closer.credit if closer.is_half_made else None
    if credit is None:
        credit = await _make_credit(ledger, missing, date, closer.number)
    if credit.amount != missing:
        raise NeedsPerson(
            Code.REFUND_CREDIT_DIFFERS,
            f"credit {credit.number} for the refund of payment {ledger.key} came out as {credit.amount} instead of "
            f"{missing}",
            "check what taxes or surcharges Invoice Ninja adds to credits, correct that credit, then replay this event",
        )
    await ledger.wait_turn(_ZERO)
    payment = await ledger.post(
        PaymentDraft(
            number=credit.number,
            client_id=ledger.draft.client_id,
            amount=_ZERO,
            date=date,
            transaction_reference=credit.number,
            private_notes=f"Uses credit {credit.number}: refunded through Stripe ({ledger.key}), so not owed again",
            invoices=(Allocation(ledger.invoice_id, missing),),
            credits={credit.id: missing},
        )
    )
    ledger.done.append(f"{amounts.shown(missing)} settled by credit {credit.number}: not owed again")
    return RefundCredit(closer.number, credit, payment)


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
