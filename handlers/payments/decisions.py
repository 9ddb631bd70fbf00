"""What a person's decision about a payment would do: shown before it is stored. What cannot be done is refused.

Source: docs/payments.md section "Decisions".
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from handlers.payments.amounts import open_amount, used_for
from handlers.payments.ledger_rows import find_recorded
from handlers.payments.matching import invoice_by_text, unpayable
from handlers.ports.billing import PaymentRecord, PaymentWorld
from mappings.invoiceninja.models import Invoice, Payment
from mappings.values.money import MoneyError, money, to_major

ClientName = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class DecisionPreview:
    """What would be done, in sentences; or why it cannot be done, and what to do instead."""

    lines: tuple[str, ...] = ()
    refusal: str = ""


async def preview_match(record: PaymentRecord, text: str, world: PaymentWorld, client: ClientName) -> DecisionPreview:
    """What matching with the invoice of this number or id would do.

    Raises:
        RemoteError: Invoice Ninja cannot be read.
    """
    invoice = await invoice_by_text(text, world)
    if invoice is None:
        return DecisionPreview(refusal=f'there is no invoice "{text}" in Invoice Ninja')
    rows = await _live(record, world)
    if any(used_for(row, invoice.id) for row in rows):
        return DecisionPreview((f"payment {record.identity} is recorded on invoice {invoice.number} already",))
    if any(part.invoice_id for row in rows for part in row.paymentables):
        return DecisionPreview(refusal=f"{await _where(record, rows, world)}. To move it: {_first_unmatch(record)}")
    problem = unpayable(invoice) or await _other_currency(record, invoice, world)
    if problem:
        return DecisionPreview(refusal=problem)
    return DecisionPreview(_match_lines(record, invoice, client))


async def preview_ignore(record: PaymentRecord, world: PaymentWorld) -> DecisionPreview:
    """What ignoring would do; money that is recorded cannot be ignored.

    Raises:
        RemoteError: Invoice Ninja cannot be read.
    """
    rows = await _live(record, world)
    if rows:
        where = await _where(record, rows, world)
        return DecisionPreview(refusal=f"{where}, so it cannot be ignored. To take it off: {_first_unmatch(record)}")
    return DecisionPreview((f"{_amount(record)} of {_payer(record)} stay at Stripe and are not recorded",))


async def preview_unmatch(record: PaymentRecord, world: PaymentWorld, client: ClientName) -> DecisionPreview:
    """What is taken off where when a recorded payment is unmatched.

    Raises:
        RemoteError: Invoice Ninja cannot be read.
    """
    rows = await _live(record, world)
    if not rows:
        return DecisionPreview(refusal=f"Invoice Ninja holds nothing of payment {record.identity}: there is no match")
    if record.refunded or any(row.refunded for row in rows):
        return DecisionPreview(
            refusal=f"a part of payment {record.identity} went back, and Invoice Ninja cannot undo a refund: "
            "correct the payment there by hand"
        )
    lines = [f"payment {row.number} over {row.amount} {record.currency} is deleted in Invoice Ninja" for row in rows]
    for invoice_id, amount in _used(rows).items():
        invoice = await world.books.invoice(invoice_id)
        lines.append(
            f"invoice {invoice.number} of {client(invoice.client_id)} is owed again: {invoice.balance + amount} "
            f"{record.currency} are open"
        )
    lines.append(f"payment {record.identity} then needs a decision: `payments match` or `payments ignore`")
    return DecisionPreview(tuple(lines))


def _match_lines(record: PaymentRecord, invoice: Invoice, client: ClientName) -> tuple[str, ...]:
    balance = open_amount(invoice)
    lines = (
        f"payment {record.identity}: {_amount(record)} of {_payer(record)}",
        f"invoice {invoice.number} of {client(invoice.client_id)}: {balance} {record.currency} are open",
    )
    try:
        kept = to_major(record.amount - record.refunded, record.currency)
    except MoneyError:
        return lines
    return (*lines, f"afterwards {_result(kept, balance, record.currency)}")


def _result(kept: Decimal, balance: Decimal, currency: str) -> str:
    if kept > balance:
        return f"the invoice is paid, and {kept - balance} {currency} stay as the client's unapplied credit"
    return "the invoice is paid" if kept == balance else f"{balance - kept} {currency} of the invoice stay open"


async def _live(record: PaymentRecord, world: PaymentWorld) -> list[Payment]:
    return [row for row in await find_recorded(record, [record.identity], world) if not row.is_deleted]


async def _where(record: PaymentRecord, rows: list[Payment], world: PaymentWorld) -> str:
    numbers = ", ".join(row.number for row in rows)
    invoices = [(await world.books.invoice(key)).number for key in _used(rows)]
    on = f" of invoice {', '.join(invoices)}" if invoices else ""
    return f"payment {record.identity} is recorded in Invoice Ninja as payment {numbers}{on}"


async def _other_currency(record: PaymentRecord, invoice: Invoice, world: PaymentWorld) -> str:
    code = (await world.books.client_currency(invoice.client_id)).code
    if not record.currency or code == record.currency:
        return ""
    return (
        f"invoice {invoice.number} is in {code}, the payment in {record.currency}: nothing is converted. Enter the "
        f"payment in Invoice Ninja by hand with {record.identity} as transaction reference"
    )


def _used(rows: list[Payment]) -> dict[str, Decimal]:
    keys = dict.fromkeys(part.invoice_id for row in rows for part in row.paymentables if part.invoice_id)
    return {key: sum((used_for(row, key) for row in rows), Decimal(0)) for key in keys}


def _first_unmatch(record: PaymentRecord) -> str:
    return f"taiga-billing payments unmatch {record.identity} --why REASON"


def _amount(record: PaymentRecord) -> str:
    back = f" ({money(record.refunded, record.currency)} went back)" if record.refunded else ""
    return f"{money(record.amount, record.currency)}{back}"


def _payer(record: PaymentRecord) -> str:
    return record.payer or record.customer or "an unknown payer"
