"""A Stripe event: the payment, refund, failure or dispute it tells of is in Invoice Ninja, once.

Converges: all stored events of the payment (and its objects at Stripe, when we may read them) give the facts, the facts
give what Invoice Ninja should hold, and the difference is made. Order and repetition do not matter. Source:
docs/payments.md.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from handlers.errors import NeedsPerson
from handlers.event import Event, Work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.payment_links.upkeep import follow_payment
from handlers.payments.account import knowing_account
from handlers.payments.facts import INVOICE, OPERATOR, PAYMENT, PaymentEvidence, gather
from handlers.payments.paid_elsewhere import PROBLEM
from handlers.payments.settlement import Settlement
from handlers.ports.billing import PaymentRecord, PaymentWorld, lock_of
from handlers.ports.context import Context
from handlers.recheck import is_recheck
from mappings.codes import Code
from mappings.stripe import BadStripeObject, PaymentFacts, Relevant, classify

_REFUSALS = {
    "thin_event": Ignored(
        Code.THIN_EVENT, "a thin event (v2) carries no payment: let the webhook send snapshot events"
    ),
    "connect_account": Ignored(Code.CONNECTED_ACCOUNT, "it belongs to a connected account, not to ours"),
    "other_account": Ignored(
        Code.OTHER_ACCOUNT, "it comes from another account of the organisation than ours (STRIPE_ACCOUNT)"
    ),
    "not_about_a_payment": Ignored(Code.NOT_ABOUT_PAYMENTS, "it is not about a payment"),
}


async def settle_payment(work: Work, context: Context) -> Outcome:
    """Make Invoice Ninja hold what Stripe says about one payment or Stripe invoice.

    Raises:
        NeedsPerson: only a person can judge or enter this payment.
        RetryLater: something changed meanwhile, or equal payments must be kept apart.
        RemoteError: Stripe or Invoice Ninja failed.
    """
    world = context.payments
    if world is None:
        return Ignored(Code.PAYMENTS_NOT_CONFIGURED, "this worker does not process payments")
    world = await knowing_account(world, [event.payload for event in work.due if event.source != OPERATOR])
    refusals = [refusal for event in work.due if (refusal := _refusal(event, world))]
    if len(refusals) == len(work.due):
        return refusals[-1]
    return await settle_subject(work.subject, context, world)


async def settle_subject(subject: str, context: Context, world: PaymentWorld) -> Outcome:
    """The same, by all that is known of a payment or Stripe invoice, without a new event of it.

    Raises:
        NeedsPerson, RetryLater, RemoteError: as `settle_payment` does.
    """
    if subject.startswith(INVOICE):
        return await _settle_stripe_invoice(subject, context, world)
    return await _settle(subject, context, world)


def _refusal(event: Event, world: PaymentWorld) -> Ignored | None:
    """Why an event changes nothing; None when it may."""
    if event.source == OPERATOR or is_recheck(event):
        return None
    try:
        verdict = classify(event.payload, live=world.live, account=world.account)
    except BadStripeObject:
        return None
    if isinstance(verdict, Relevant):
        return None
    if verdict.reason == "other_mode":
        theirs, ours = ("test", "live") if world.live else ("live", "test")
        reason = f"it is of {theirs} mode, and taiga-billing works in {ours} mode (STRIPE_MODE)"
        return Ignored(Code.OTHER_MODE, reason)
    unused = Ignored(Code.NOT_ABOUT_PAYMENTS, f"events of type {event.type} say nothing about payments")
    return _REFUSALS.get(verdict.reason, unused)


async def _settle_stripe_invoice(subject: str, context: Context, world: PaymentWorld) -> Outcome:
    """The events of a Stripe invoice tell about its payments; those paid past Stripe are a payment of their own."""
    evidence = await gather(subject, world)
    if evidence is None:
        return Ignored(Code.NO_PAYMENT_EVENT, "no event of this Stripe invoice is for us")
    if world.stripe is not None:
        await _link_payments(subject, evidence, world)
    identity = evidence.facts.identity
    is_own = f"{INVOICE}{identity}" == subject
    if not is_own:
        # Its money has a subject and a lock of its own.
        await world.memory.link(subject, f"{PAYMENT}{identity}")
    outcomes, paid_invoice = [], ""
    async with world.exclusive(lock_of(subject)):
        payments = await world.memory.payments_of(subject)
        if is_own and (not payments or evidence.facts.received):
            outcome, paid_invoice = await _converge(subject, evidence, context, world)
            outcomes.append(outcome)
    await _cover_refunded(subject, paid_invoice, context, world)
    outcomes += [await _settle(payment, context, world) for payment in payments]
    return _together(outcomes)


def _together(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of a Stripe invoice's payments as one: the last of those that changed something says the code."""
    lead = next((one for one in reversed(outcomes) if isinstance(one, Processed)), outcomes[-1])
    return replace(lead, reason="; ".join(outcome.reason for outcome in outcomes))


async def _link_payments(subject: str, evidence: PaymentEvidence, world: PaymentWorld) -> None:
    """Remember the payments that Stripe itself names for its invoice."""
    for source in evidence.sources:
        payment = source.get("payment") if source.get("object") == "invoice_payment" else None
        intent = payment.get("payment_intent") if payment else None
        if isinstance(intent, str) and intent:
            await world.memory.link(subject, f"stripe:payment:{intent}")


async def _settle(subject: str, context: Context, world: PaymentWorld) -> Outcome:
    async with world.exclusive(lock_of(subject)):
        evidence = await gather(subject, world)
        if evidence is None:
            return Ignored(Code.NO_PAYMENT_EVENT, "no event of this payment is for us")
        outcome, paid_invoice = await _converge(subject, evidence, context, world)
    await _cover_refunded(subject, paid_invoice, context, world)
    return outcome


async def _cover_refunded(subject: str, invoice_id: str, context: Context, world: PaymentWorld) -> None:
    """Let other payments of an invoice, which went back, find the money that this one brought.

    Each time, not only when some is left: a step of that may have been cut off.
    """
    if not invoice_id:
        return
    for record in await world.memory.of_invoice(invoice_id):
        if record.subject == subject or not (record.refunded and record.payment_id):
            continue
        async with world.exclusive(lock_of(record.subject)):
            evidence = await gather(record.subject, world)
            if evidence is not None:
                # What needs a person there is remembered there: it is no reason to stop here.
                with contextlib.suppress(NeedsPerson):
                    await _converge(record.subject, evidence, context, world)


async def _converge(
    subject: str, evidence: PaymentEvidence, context: Context, world: PaymentWorld
) -> tuple[Outcome, str]:
    """The outcome, and the id of the invoice that the money was recorded for ("" when it was not)."""
    record = await world.memory.find(evidence.facts.identity) or PaymentRecord(evidence.facts.identity, subject)
    for invoice in evidence.facts.stripe_invoices:
        if f"{INVOICE}{invoice}" != subject:
            record = await _take_over(record, invoice, evidence.facts, context, world)
    settlement = Settlement(evidence, record, context, world)
    try:
        outcome = await settlement.run()
    except NeedsPerson as error:
        await settlement.needs_person(error)
        raise
    await follow_payment(record.identity, context)
    return outcome, settlement.paid_invoice


async def _take_over(
    record: PaymentRecord, invoice: str, facts: PaymentFacts, context: Context, world: PaymentWorld
) -> PaymentRecord:
    """What was remembered of the Stripe invoice itself is from now on this payment's: they are the same money."""
    subject = f"{INVOICE}{invoice}"
    async with world.exclusive(lock_of(subject)):
        other = await world.memory.find(invoice)
        if other is None:
            return record
        if other.due_date_set is not None:
            taken = replace(
                record,
                due_date_before=other.due_date_before,
                due_date_set=other.due_date_set,
                invoice_id=record.invoice_id or other.invoice_id,
                invoice_number=record.invoice_number or other.invoice_number,
            )
            await world.memory.save(taken)
            record = taken
        if not other.payment_id:
            gone = replace(other, status="by_its_payments", due_date_before=None, due_date_set=None)
            await world.memory.save(gone)
            why = f"its money is payment {record.identity}"
            await context.reviews.close(subject, PROBLEM, why)
        elif not facts.past_stripe:
            summary = (
                f"Stripe invoice {invoice} was recorded as payment {other.payment_number}, but it is the same money as "
                f"payment {record.identity}: `taiga-billing payments unmatch {invoice}` takes it off"
            )
            await context.reviews.open(subject, PROBLEM, summary, {"payment": invoice, "same": record.identity})
    return record
