"""Payments that never came through Stripe, whose invoices need them no more: paid otherwise, or cancelled.

Stripe tells nothing of that, so it is seen in Invoice Ninja: by the handler, and by the clock. Neither needs a key of
Stripe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from handlers.errors import NotFound, RemoteError
from handlers.payments.amounts import open_amount
from handlers.payments.ledger_rows import PaymentRows
from handlers.payments.matching import unpayable
from handlers.payments.notes import write_notes
from handlers.payments.overdue import forgotten, keep_due_date
from handlers.ports.billing import PaymentRecord, PaymentWorld, lock_of
from handlers.ports.context import Context
from mappings.invoiceninja.models import Invoice, InvoiceStatus, PaymentDraft

SETTLED_OTHERWISE = "settled_otherwise"
MISSED = ("overdue", "failed")
"""Statuses of payments that failed and are waited for."""

PROBLEM = "payment_problem"
_OPEN = (InvoiceStatus.DRAFT, InvoiceStatus.SENT, InvoiceStatus.PARTIAL)


@dataclass(frozen=True, slots=True)
class Healed:
    """What one round did. `problems` are payments that wait for the next one."""

    looked_at: int
    healed: tuple[str, ...]
    problems: tuple[str, ...]


def why_settled(invoice: Invoice) -> str:
    """Why nothing has to be paid on an invoice any more, in words; "" while something has."""
    if open_amount(invoice) or (invoice.status_id == InvoiceStatus.DRAFT and not invoice.is_deleted):
        return ""
    return unpayable(invoice) or f"invoice {invoice.number} was paid otherwise"


def still_charging(status: str, identity: str, why: str) -> str:
    """What a person has to do at Stripe, which goes on charging for a Stripe invoice; "" when nothing."""
    if status != "overdue":
        return ""
    return f"{why}, but Stripe may still charge the customer: void the Stripe invoice of {identity} unless that is done"


async def heal_all(context: Context) -> Healed:
    """Look at all payments that failed; the open invoices come in pages, only the others are read one by one.

    Raises:
        RemoteError: Invoice Ninja cannot be read.
    """
    world = context.payments
    missed = await world.memory.missed(MISSED) if world is not None else ()
    if world is None or not missed:
        return Healed(0, (), ())
    still_open = await _still_open(missed, world)
    healed, problems = [], []
    for record in missed:
        if record.invoice_id in still_open:
            continue
        try:
            why = await _heal(record, context, world)
        except RemoteError as error:
            problems.append(f"payment {record.identity}: {error}")
        else:
            healed += [f"payment {record.identity}: {why}"] if why else []
    return Healed(len(missed), tuple(healed), tuple(problems))


async def _still_open(missed: Sequence[PaymentRecord], world: PaymentWorld) -> frozenset[str]:
    wanted = {record.invoice_id for record in missed}
    listed = world.books.invoices(statuses=_OPEN)
    return frozenset([invoice.id async for invoice in listed if invoice.id in wanted])


async def _heal(record: PaymentRecord, context: Context, world: PaymentWorld) -> str:
    """Give the invoice its due date back and say so; returns why, "" when nothing was done."""
    async with world.exclusive(lock_of(record.subject)):
        known = await world.memory.find(record.identity)
        if known is None or known.status not in MISSED:
            return ""
        try:
            invoice = await world.books.invoice(known.invoice_id)
        except NotFound:
            why = f"invoice {known.invoice_number} is not in Invoice Ninja any more"
            await world.memory.save(replace(known, status=SETTLED_OTHERWISE, reason=why))
            return why
        why = why_settled(invoice)
        if why:
            async with world.exclusive(f"client {invoice.client_id}"):
                await _settle(known, invoice, why, context, world)
    return why


async def _settle(record: PaymentRecord, invoice: Invoice, why: str, context: Context, world: PaymentWorld) -> None:
    key = record.identity
    draft = PaymentDraft(number=key, client_id=invoice.client_id, amount=Decimal(0), date="", transaction_reference=key)
    rows = PaymentRows(record, draft, invoice, world, context.clock)
    notes = await keep_due_date(rows, None, context.mapping.client(invoice.client_id).timezone)
    await write_notes(rows, [f"Stripe {key}: {text}" for text in notes])
    warning = still_charging(record.status, key, why)
    if warning:
        await context.reviews.open(record.subject, PROBLEM, warning, {"payment": key, "invoice": invoice.number})
    await rows.save(status=SETTLED_OTHERWISE, reason=why, **forgotten(None))
