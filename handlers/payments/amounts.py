"""The amounts of one payment in units of its currency, as far as Invoice Ninja can hold them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from handlers.errors import NeedsPerson
from mappings.codes import Code
from mappings.invoiceninja.models import Currency, Invoice, InvoiceStatus, Payment
from mappings.stripe import PaymentFacts, PaymentTarget
from mappings.stripe.disputes import is_returned, lost
from mappings.values.money import MoneyError, decimals, fits_precision, to_major


@dataclass(frozen=True, slots=True)
class Move:
    """A refund or dispute: what it takes away now (0: nothing, or no more), and when it was made (unix seconds).

    `is_returned` tells that the customer never paid: what a returned bank debit took is owed again.
    """

    amount: Decimal
    created: int
    is_returned: bool = False


@dataclass(frozen=True, slots=True)
class Amounts:
    """What arrived and what of it went back; `kept` is what stays.

    `moves` are all refunds and disputes by id, oldest first.
    """

    paid: Decimal
    refunded: Decimal
    currency: str
    moves: Mapping[str, Move] = field(default_factory=dict)

    @property
    def kept(self) -> Decimal:
        """What stays."""
        return self.paid - self.refunded

    @property
    def owed_again(self) -> Decimal:
        """What returned bank debits took: it is owed whatever is done about refunds."""
        return sum((move.amount for move in self.moves.values() if move.is_returned), Decimal(0))

    def shown(self, amount: Decimal) -> str:
        """An amount as people read it."""
        places = max(-int(self.paid.as_tuple().exponent), decimals(amount), 0)
        return f"{amount:.{places}f} {self.currency}"


def amounts_of(goal: PaymentTarget, facts: PaymentFacts) -> Amounts:
    """The amounts by Stripe's table of decimals.

    Raises:
        NeedsPerson: the currency is doubtful, or Stripe cannot charge the amount.
    """
    currency = goal.currency or ""
    try:
        moves = {key: Move(to_major(minor, currency), made, back) for key, made, minor, back in _moves(facts)}
        return Amounts(to_major(goal.paid, currency), to_major(goal.refunded, currency), currency, moves)
    except MoneyError as error:
        raise NeedsPerson(
            Code.PAYMENT_AMOUNT_BAD, f"payment {goal.key}: {error}", by_hand(goal.key, error.hint)
        ) from error


def _moves(facts: PaymentFacts) -> Iterator[tuple[str, int, int, bool]]:
    """All refunds and disputes, oldest first: id, when made, what each takes now in minor units, if it was returned."""
    refunds = [
        (one.created, one.id, one.amount * (one.status == "succeeded"), False, one.currency) for one in facts.refunds
    ]
    disputes = [(one.created, one.id, lost(one), is_returned(one), one.currency) for one in facts.disputes]
    for created, key, minor, returned, currency in sorted([*refunds, *disputes]):
        if currency.upper() == facts.currency:
            yield key, created, minor, returned


def demand_precision(key: str, amounts: Amounts, currency: Currency) -> None:
    """See that Invoice Ninja keeps the amounts to the last digit.

    Raises:
        NeedsPerson: it would round them.
    """
    for amount in (amounts.paid, amounts.refunded):
        if not fits_precision(amount, currency.precision):
            raise NeedsPerson(
                Code.PAYMENT_AMOUNT_BAD,
                f"payment {key}: {amounts.shown(amount)} has more decimals than the {currency.precision} that Invoice "
                f"Ninja keeps of {currency.code}",
                by_hand(key, "Nothing was recorded."),
            )


def by_hand(key: str, first: str) -> str:
    """What to do with a payment that only a person can enter."""
    return f"{first} When it is in Invoice Ninja with {key} as transaction reference, replay this event."


def open_amount(invoice: Invoice) -> Decimal:
    """What of an invoice can still be paid; all of a draft, whose balance is 0 until it is sent."""
    if invoice.is_deleted:
        return Decimal(0)
    if invoice.status_id == InvoiceStatus.DRAFT:
        return invoice.amount
    is_open = invoice.status_id in {InvoiceStatus.SENT, InvoiceStatus.PARTIAL}
    return max(invoice.balance, Decimal(0)) if is_open else Decimal(0)


def used_for(payment: Payment, invoice_id: str) -> Decimal:
    """What of a payment pays this invoice, refunds taken off."""
    parts = (part for part in payment.paymentables if part.invoice_id == invoice_id)
    return sum((part.amount - part.refunded for part in parts), Decimal(0))


def spare(payment: Payment) -> Decimal:
    """What of a payment is used for nothing and was not given back: the client's unapplied credit."""
    refunded_parts = sum((part.refunded for part in payment.paymentables if part.invoice_id), Decimal(0))
    return max(payment.amount - payment.applied - (payment.refunded - refunded_parts), Decimal(0))
