"""The amounts of one payment in units of its currency, as far as Invoice Ninja can hold them."""

from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import NeedsPerson
from mappings.money import MoneyError, fits_precision, to_major
from mappings.ninja import Currency, Invoice, InvoiceStatus, Payment
from mappings.stripe import PaymentTarget


@dataclass(frozen=True, slots=True)
class Amounts:
    """What arrived and what of it went back; `kept` is what stays."""

    paid: Decimal
    refunded: Decimal
    currency: str

    @property
    def kept(self) -> Decimal:
        """What stays."""
        return self.paid - self.refunded

    def shown(self, amount: Decimal) -> str:
        """An amount as people read it."""
        return f"{amount} {self.currency}"


def amounts_of(goal: PaymentTarget) -> Amounts:
    """The amounts by Stripe's table of decimals.

    Raises:
        NeedsPerson: the currency is doubtful, or the amount is none that Stripe can charge.
    """
    currency = goal.currency or ""
    try:
        return Amounts(to_major(goal.paid, currency), to_major(goal.refunded, currency), currency)
    except MoneyError as error:
        raise NeedsPerson(f"payment {goal.key}: {error}", by_hand(goal.key, error.hint)) from error


def demand_precision(key: str, amounts: Amounts, currency: Currency) -> None:
    """See that Invoice Ninja keeps the amounts to the last digit.

    Raises:
        NeedsPerson: it would round them.
    """
    for amount in (amounts.paid, amounts.refunded):
        if not fits_precision(amount, currency.precision):
            raise NeedsPerson(
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
