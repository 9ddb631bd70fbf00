"""What our record of a payment says, and what is said about money beyond its invoice."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from handlers.payments.amounts import Amounts, spare
from handlers.payments.facts import PaymentEvidence
from handlers.payments.ledger import PaymentLedger
from handlers.ports.billing import PaymentRecord
from mappings.stripe import target


def refreshed(record: PaymentRecord, evidence: PaymentEvidence) -> PaymentRecord:
    """The record with what the facts say; what they do not say stays as it was known."""
    facts, goal = evidence.facts, target(evidence.facts)
    return replace(
        record,
        currency=facts.currency or record.currency,
        amount=goal.paid or facts.received or facts.asked,
        refunded=goal.refunded,
        fee=facts.fee.fee if facts.fee else record.fee,
        fee_currency=facts.fee.currency.upper() if facts.fee else record.fee_currency,
        customer=facts.person.customer or record.customer,
        payer=facts.person.email or facts.person.name or record.payer,
        paid_at=datetime.fromtimestamp(facts.paid_at, UTC) if facts.paid_at is not None else record.paid_at,
        livemode=facts.livemode if facts.livemode is not None else record.livemode,
    )


def what_became(ledger: PaymentLedger, amounts: Amounts) -> str:
    """In one sentence what came, where it went and why."""
    numbers = ", ".join(row.number for row in ledger.live)
    where = f"invoice {ledger.invoice_number}" if ledger.invoice_number else "no invoice"
    back = f"; {amounts.shown(amounts.refunded)} of it went back" if amounts.refunded else ""
    why = f" ({ledger.record.matched_by})" if ledger.record.matched_by else ""
    return f"{amounts.shown(amounts.paid)} came, recorded as payment {numbers} on {where}{why}{back}"


def credit_note(ledger: PaymentLedger, amounts: Amounts) -> list[str]:
    """What is said about money beyond the invoice."""
    rest = sum((spare(row) for row in ledger.live), Decimal(0))
    if not rest:
        return []
    return [f"{amounts.shown(rest)} are more than the invoice was open: they stay as the client's unapplied credit"]
