"""Where the money of a payment belongs: where it is recorded already, else where it should be."""

from dataclasses import dataclass, replace

from handlers.payments.facts import Decision, PaymentEvidence
from handlers.payments.ledger_rows import find_recorded
from handlers.payments.matching import InvoiceMatcher, Matched, Unmatched, decided_by
from handlers.ports.billing import PaymentRecord, PaymentWorld
from mappings.invoiceninja.models import Invoice, Payment
from mappings.stripe import PaymentTarget


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the money belongs. `invoice` is None for money that a person recorded on no invoice.

    `refusal` says why a decision for another invoice was not carried out.
    """

    client_id: str
    invoice: Invoice | None
    how: str
    remarks: tuple[str, ...] = ()
    refusal: str = ""


async def place(
    evidence: PaymentEvidence, goal: PaymentTarget, record: PaymentRecord, matcher: InvoiceMatcher, world: PaymentWorld
) -> Placement | Unmatched:
    """Where it is recorded, else where it should be.

    Raises:
        CannotMatch: a person decided on an invoice that cannot have it.
    """
    if record.payment_id:
        placed = await _as_recorded(evidence, record, world)
        if placed is not None:
            return placed
    match = await matcher.match()
    if isinstance(match, Matched):
        return Placement(match.invoice.client_id, match.invoice, match.how, match.remarks)
    rows = await rows_by_hand(goal, record, world)
    if rows:
        return Placement(rows[0].client_id, None, "recorded in Invoice Ninja by a person")
    return match


async def rows_by_hand(goal: PaymentTarget, record: PaymentRecord, world: PaymentWorld) -> list[Payment]:
    """The payments in Invoice Ninja that a person entered for this money."""
    return [row for row in await find_recorded(record, goal.references, world) if not row.is_deleted]


async def _as_recorded(evidence: PaymentEvidence, record: PaymentRecord, world: PaymentWorld) -> Placement | None:
    """Where our record says it is; a person's decision for another invoice cannot move money that is recorded."""
    decision = evidence.decision
    if not record.invoice_id:
        return None
    invoice = await world.books.invoice(record.invoice_id)
    placed = Placement(record.client_id, invoice, record.matched_by)
    # The number may have changed since the decision was carried out.
    if decision is None or record.matched_by == decided_by(decision.who, decision.invoice):
        return placed
    if decision.action != "match" or decision.invoice in {invoice.id, invoice.number}:
        return placed
    payment = await world.books.payment(record.payment_id)
    if payment.is_deleted:
        return None
    return replace(placed, refusal=_not_moved(decision, record, payment, invoice))


def _not_moved(decision: Decision, record: PaymentRecord, payment: Payment, invoice: Invoice) -> str:
    return (
        f"{decision.who} matched it with invoice {decision.invoice}, but it is recorded as payment {payment.number} of "
        f"invoice {invoice.number} already, and nothing was moved; to move it: taiga-billing payments unmatch "
        f"{record.identity} --why REASON, then match it again"
    )
