"""What people read in Invoice Ninja about a payment: notes on its invoice, once each, and its own private notes."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from handlers.payments.ledger_rows import PaymentRows
from mappings.stripe import PaymentTarget
from mappings.values.text import one_line, shortened

_LONGEST = 500


async def write_notes(rows: PaymentRows, texts: Iterable[str]) -> None:
    """Add the notes that the invoice does not have yet.

    Adding is not idempotent: what we remember is not written again, and before anything is, the history is read.
    """
    wanted = {_digest(text): text for text in (shortened(one_line(raw), _LONGEST) for raw in texts)}
    fresh = {digest: text for digest, text in wanted.items() if digest not in rows.record.notes}
    if not fresh or rows.invoice is None:
        return
    known = await rows.world.books.notes("invoices", rows.invoice.id)
    for text in fresh.values():
        if text not in known:
            await rows.world.books.add_note("invoices", rows.invoice.id, text)
    await rows.save(notes=(*rows.record.notes, *fresh))


def notes_of(goal: PaymentTarget, more: Iterable[str]) -> list[str]:
    """The notes for the invoice; each names its payment. The fee, which comes first, is for the payment alone."""
    about_money = goal.notes[1:] if goal.fee else goal.notes
    return [f"Stripe {goal.key}: {text}" for text in (*about_money, *more)]


def private_notes(goal: PaymentTarget, customer: str) -> tuple[str, ...]:
    """The lines that the payment's private notes hold."""
    fee = goal.notes[:1] if goal.fee else ()
    return (f"Stripe {goal.key}", *([f"Stripe customer {customer}"] if customer else []), *fee)


async def keep_private_notes(rows: PaymentRows, lines: Sequence[str]) -> None:
    """Add the lines that are missing, and correct the kind of payment; what people wrote stays."""
    first = rows.live[0]
    present = first.private_notes.splitlines()
    missing = [line for line in lines if line not in present]
    kind = rows.draft.type_id
    is_other_kind = bool(kind) and kind != rows.record.type_id and first.number == rows.key
    if not missing and not is_other_kind:
        return
    await rows.world.books.annotate_payment(
        first.id,
        private_notes="\n".join([*filter(None, [first.private_notes]), *missing]) if missing else None,
        type_id=kind if is_other_kind else None,
    )
    await rows.save(type_id=kind if is_other_kind else rows.record.type_id)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
