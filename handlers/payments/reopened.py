"""Payments whose invoices were settled otherwise, and are owed again: that other payment was deleted meanwhile.

Stripe tells nothing of that, so the clock looks: at a few each time, and not for ever. An invoice that is open again
is settled anew by all that is known of its payment.
"""

from dataclasses import dataclass
from datetime import timedelta

from handlers.errors import NeedsPerson, NotFound, RemoteError, RetryLater
from handlers.payments.paid_elsewhere import PROBLEM, SETTLED_OTHERWISE, why_settled
from handlers.payments.settle import settle_subject
from handlers.ports.billing import PaymentRecord, PaymentWorld
from handlers.ports.context import Context

LOOKS = 10
"""At most so many invoices are read each time."""

KNOWN_FOR = timedelta(days=90)
"""A payment that is known for longer is not looked at; its events may have lost their bodies soon (RETENTION_DAYS)."""


@dataclass(frozen=True, slots=True)
class Reopened:
    """What one round did. `problems` are payments that wait for their next turn."""

    looked_at: int
    reopened: tuple[str, ...]
    problems: tuple[str, ...]


async def reopen_some(context: Context) -> Reopened:
    """Look at those whose last look is longest ago: one request each, and a settlement where something is owed."""
    world = context.payments
    if world is None:
        return Reopened(0, (), ())
    records = await world.memory.next_looks(SETTLED_OTHERWISE, KNOWN_FOR, LOOKS)
    reopened, problems = [], []
    for record in records:
        try:
            done = await _look(record, context, world)
        except (RemoteError, RetryLater) as error:
            problems.append(f"payment {record.identity}: {error}")
        else:
            reopened += [f"payment {record.identity}: {done}"] if done else []
    return Reopened(len(records), tuple(reopened), tuple(problems))


async def _look(record: PaymentRecord, context: Context, world: PaymentWorld) -> str:
    """Says what was done, "" when nothing is owed."""
    try:
        invoice = await world.books.invoice(record.invoice_id)
    except NotFound:
        return ""
    if why_settled(invoice):
        return ""
    owed = f"invoice {invoice.number} is owed again"
    try:
        outcome = await settle_subject(record.subject, context, world)
    except NeedsPerson as error:
        # No event is at work here that could die and be found.
        details = {"payment": record.identity, "invoice": invoice.number}
        await context.reviews.open(record.subject, PROBLEM, f"{owed}, but {error.reason}: {error.hint}", details)
        return f"{owed}, but {error.reason}"
    return f"{owed}: {outcome.reason}"
