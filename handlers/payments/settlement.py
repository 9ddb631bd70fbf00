"""One convergence of one payment: from its facts to Invoice Ninja's books and our record of it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from handlers.errors import NeedsPerson
from handlers.outcome import Ignored, Outcome, Processed
from handlers.payments.amounts import Amounts, amounts_of, demand_precision
from handlers.payments.facts import PaymentEvidence
from handlers.payments.ledger import PaymentLedger
from handlers.payments.ledger_rows import PaymentGone
from handlers.payments.matching import CannotMatch, InvoiceMatcher, Matched, Unmatched
from handlers.payments.notes import keep_private_notes, notes_of, private_notes, write_notes
from handlers.payments.overdue import day_of, forgotten, keep_due_date
from handlers.payments.paid_elsewhere import MISSED, PROBLEM, SETTLED_OTHERWISE, still_charging, why_settled
from handlers.payments.placing import Placement, place, rows_by_hand
from handlers.payments.record import credit_note, refreshed, what_became
from handlers.payments.refund_credits import settle_reopened
from handlers.ports.billing import PaymentRecord, PaymentWorld
from handlers.ports.context import Context
from mappings.codes import Code
from mappings.config.rules import BillingRules
from mappings.invoiceninja.models import PaymentDraft
from mappings.invoiceninja.payment_types import payment_type
from mappings.stripe import PaymentFacts, target
from mappings.values.money import money

UNMATCHED = "unmatched_payment"
_MOST_OF = Decimal("0.9")
_ALWAYS = datetime(9999, 1, 1, tzinfo=UTC)

_UNPAID = (Code.PAYMENT_UNPAID, "nothing was paid yet")
_NO_MONEY = {
    "processing": (Code.PAYMENT_PROCESSING, "the payment is on its way (processing)"),
    "failed": (Code.PAYMENT_FAILED, "the payment failed"),
    "overdue": (Code.PAYMENT_OVERDUE, "the Stripe invoice is overdue"),
    "canceled": (Code.PAYMENT_CANCELED, "the payment was canceled"),
    "by_its_payments": (Code.PAID_BY_ITS_PAYMENTS, "the money of this Stripe invoice comes with payments of its own"),
}


class Settlement:
    """Brings one payment to its end; every step may be done again."""

    def __init__(self, evidence: PaymentEvidence, record: PaymentRecord, context: Context, world: PaymentWorld) -> None:
        self._evidence = evidence
        self._facts = evidence.facts
        self._goal = target(evidence.facts)
        self._context = context
        self._world = world
        self._record = refreshed(record, evidence)
        self._decided_at: datetime | None = None
        self.paid_invoice = ""
        """The id of the invoice that the money was recorded for; "" when it was not recorded."""

    async def run(self) -> Outcome:
        """Make Invoice Ninja hold what it should."""
        if self._facts.own_gateway:
            await self._save(status="own_gateway", reason="recorded by Invoice Ninja's own Stripe gateway")
            return Ignored(Code.OWN_GATEWAY, "Invoice Ninja's own Stripe gateway records this payment itself")
        await self._take_off()
        decision = self._evidence.decision
        if decision is not None and decision.action == "ignore":
            if not await self._is_recorded():
                return await self._ignored(f"{decision.who} decided to ignore it: {decision.why or 'no reason given'}")
            # Money that is in the books is followed on: refunds and disputes of it must not vanish.
            self._evidence = replace(self._evidence, decision=None)
        if self._facts.unexplained:
            if decision is None or decision.action != "match":
                return await self._unexplained()
            self._believe(self._facts.as_money())
        return await (self._with_money() if self._goal.paid else self._without_money())

    async def _with_money(self) -> Outcome:
        if self._goal.problems:
            # PaymentEvidence first: what follows may fail of just that.
            await self._report_problems()
        amounts = await self._readable()
        if amounts is None:
            return Processed(
                Code.PAYMENT_ENTERED_BY_PERSON, f"entered by a person as payment {self._record.payment_number}"
            )
        placement = await place(self._evidence, self._goal, self._record, self._matcher(amounts.paid), self._world)
        if isinstance(placement, Unmatched):
            return await self._unmatched(placement, amounts)
        try:
            return await self._recorded(placement, amounts)
        except PaymentGone as gone:
            await self._save(payment_id="", payment_number="", covered=None)
            return await self._unmatched(Unmatched(str(gone)), amounts)

    async def _take_off(self) -> None:
        """Carry out the newest decision to unmatch it, once."""
        decision = self._evidence.take_off
        if decision is None or self._record.unmatched_at == decision.at:
            return
        rows = await rows_by_hand(self._goal, self._record, self._world)
        if rows and (self._goal.refunded or any(row.refunded for row in rows)):
            # Invoice Ninja cannot undo a refund: the money is followed as if nobody had decided so.
            self._evidence = replace(
                self._evidence, decision=None if self._evidence.decision == decision else self._evidence.decision
            )
            return
        for row in rows:
            async with self._world.exclusive(f"client {row.client_id}"):
                await self._world.books.delete_payment(row.id)
        # Whoever matched it since then meant the money that is free now.
        self._decided_at = _ALWAYS if rows else None
        free = {"payment_id": "", "payment_number": "", "invoice_id": "", "invoice_number": "", "matched_by": ""}
        await self._save(**free, covered=None, unmatched_at=decision.at)

    async def needs_person(self, error: NeedsPerson) -> None:
        """Remember that the event died of this, so that the payment is found among those that wait for a person."""
        # Read anew: the failed step may have saved what it did.
        self._record = await self._world.memory.find(self._record.identity) or self._record
        waits_still = isinstance(error, CannotMatch) and self._record.status == "unmatched"
        await self._save(status="unmatched" if waits_still else "needs_person", reason=error.reason)

    def _believe(self, facts: PaymentFacts) -> None:
        self._evidence = replace(self._evidence, facts=facts)
        self._facts, self._goal = facts, target(facts)
        self._record = refreshed(self._record, self._evidence)

    async def _unexplained(self) -> Outcome:
        """A Stripe invoice that is paid, and nothing shows by what: a receipt, or money that came past Stripe."""
        key, amount = self._record.identity, money(self._facts.unexplained, self._facts.currency)
        reason = f"Stripe invoice {key} says that {amount} were paid, and nothing shows by which payment"
        summary = (
            f"{reason}. Either it is only the receipt of a payment that has an id of its own (pi_...): then nothing is "
            f'to be recorded, `taiga-billing payments ignore {key} --why "a receipt"`. Or the money came past Stripe, '
            f"in cash or by bank transfer: then `taiga-billing payments match {key} INVOICE` records it"
        )
        await self._save(status="needs_person", reason=reason)
        await self._context.reviews.open(self._record.subject, PROBLEM, summary, {"payment": key, "amount": amount})
        return Processed(Code.PAYMENT_UNEXPLAINED, f"{reason}: a person has to say whether it is money of its own")

    async def _is_recorded(self) -> bool:
        """Whether Invoice Ninja holds this money, as we remember it or by any of its ids."""
        return bool(await rows_by_hand(self._goal, self._record, self._world))

    async def _ignored(self, reason: str) -> Outcome:
        await self._save(status="ignored", reason=reason, candidates=())
        await self._close_review(reason)
        await self._context.reviews.close(self._record.subject, PROBLEM, reason)
        return Ignored(Code.PAYMENT_IGNORED, reason)

    async def _report_problems(self, disagreement: str = "") -> None:
        subject, problems = self._record.subject, [*self._goal.problems, *filter(None, [disagreement])]
        if problems:
            summary = f"payment {self._goal.key}: {'; '.join(problems)}"
            await self._context.reviews.open(subject, PROBLEM, summary, {"payment": self._goal.key})
        else:
            await self._context.reviews.close(subject, PROBLEM, "the contradiction is gone")

    async def _readable(self) -> Amounts | None:
        """The amounts; None when they cannot be read, but a person has entered the payment."""
        try:
            return amounts_of(self._goal, self._facts)
        except NeedsPerson:
            rows = await rows_by_hand(self._goal, self._record, self._world)
            if not rows:
                raise
            await self._save(
                status=self._goal.status,
                reason="entered by a person",
                payment_id=rows[0].id,
                payment_number=rows[0].number,
                client_id=rows[0].client_id,
            )
            return None

    async def _without_money(self) -> Outcome:
        """A failure makes the invoice overdue or leaves a note; what names no invoice changes nothing."""
        word = self._why_no_money()
        matched = await self._matcher(Decimal(0)).named()
        if not isinstance(matched, Matched):
            await self._report_problems()
            await self._save(status=self._goal.status, reason=matched.reason if matched else word)
            return Ignored(self._no_money()[0], f"{word}; {matched.reason}" if matched else word)
        return await self._missed(matched, word)

    def _why_no_money(self) -> str:
        word, failure = self._no_money()[1], self._facts.failure
        said = (failure.message or failure.code or "").rstrip(".") if failure and self._goal.status in MISSED else ""
        return f"{word}: {said}" if said else word

    def _no_money(self) -> tuple[Code, str]:
        return _NO_MONEY.get(self._goal.status, _UNPAID)

    async def _missed(self, matched: Matched, word: str) -> Outcome:
        invoice, overdue_since = matched.invoice, self._facts.overdue_since
        state: str = self._goal.status
        settled = why_settled(invoice) if state in MISSED else ""
        await self._report_problems(still_charging(state, self._record.identity, settled) if settled else "")
        if settled:
            state, word, overdue_since = SETTLED_OTHERWISE, f"{word}, but {settled}", None
        rules = self._context.mapping.client(invoice.client_id)
        ledger = self._ledger(Placement(invoice.client_id, invoice, matched.how), Decimal(0), rules)
        async with self._world.exclusive(f"client {invoice.client_id}"):
            await ledger.save(client_id=invoice.client_id, invoice_id=invoice.id, invoice_number=invoice.number)
            notes = await keep_due_date(ledger, overdue_since, rules.timezone)
            await write_notes(ledger, notes_of(self._goal, notes))
            healed = forgotten(overdue_since)
            await ledger.save(status=state, reason=settled or word, matched_by=matched.how, **healed)
        reason = "; ".join([f"{word} (invoice {invoice.number})", *ledger.done])
        code = self._no_money()[0]
        return Processed(code, reason) if ledger.done else Ignored(code, reason)

    async def _unmatched(self, match: Unmatched, amounts: Amounts) -> Outcome:
        record = self._record
        await self._report_problems()
        await self._save(status="unmatched", reason=match.reason, candidates=match.candidates)
        if not self._goal.kept:
            await self._save(status=self._goal.status)
            await self._close_review("the money went back")
            return Ignored(Code.PAYMENT_RETURNED, f"{amounts.shown(amounts.paid)} came and went back: {match.reason}")
        details = {
            "payment": record.identity,
            "amount": amounts.shown(amounts.paid),
            "payer": record.payer,
            "customer": record.customer,
            "reason": match.reason,
            "candidates": [candidate.number for candidate in match.candidates],
        }
        summary = (
            f"{amounts.shown(amounts.paid)} of {record.payer or record.customer or 'an unknown payer'} are for no "
        )
        await self._context.reviews.open(record.subject, UNMATCHED, f"{summary}invoice yet: {match.reason}", details)
        what_to_do = (
            f"enter it in Invoice Ninja by hand with {record.identity} as transaction reference"
            if match.by_hand
            else f"taiga-billing payments match {record.identity} INVOICE"
        )
        return Processed(
            Code.PAYMENT_UNMATCHED,
            f"{amounts.shown(amounts.paid)} wait for a person: {match.reason} ({what_to_do})",
        )

    async def _recorded(self, placement: Placement, amounts: Amounts) -> Outcome:
        rules = self._context.mapping.client(placement.client_id)
        async with self._world.exclusive(f"client {placement.client_id}"):
            currency = await self._world.books.client_currency(placement.client_id)
            if currency.code != amounts.currency:
                return await self._entered_in(currency.code, amounts)
            demand_precision(self._goal.key, amounts, currency)
            ledger = self._ledger(placement, amounts.paid, rules)
            decision = self._evidence.decision
            await ledger.load(self._goal.references, self._decided_at or (decision.at if decision else None))
            disagreement = await self._disagreement(ledger, amounts)
            notes = await keep_due_date(ledger, self._facts.overdue_since, rules.timezone)
            await ledger.pay(amounts)
            # From here on it is known as recorded: another attempt finds it so, and must know how it was found.
            await ledger.save(matched_by=placement.how)
            await ledger.refund(amounts, self._refund_day(rules.timezone))
            await settle_reopened(ledger, amounts, rules.timezone, close=rules.on_refund == "close")
            credit = credit_note(ledger, amounts)
            self.paid_invoice = ledger.invoice_id
            await keep_private_notes(ledger, private_notes(self._goal, self._record.customer))
            remarks = [*notes, *placement.remarks, *disagreement, *credit]
            await write_notes(ledger, notes_of(self._goal, remarks))
            await ledger.save(
                status=self._goal.status,
                reason="; ".join([what_became(ledger, amounts), *disagreement, *credit]),
                candidates=(),
                **forgotten(self._facts.overdue_since),
            )
        await self._close_review(f"recorded as payment {ledger.record.payment_number}")
        if placement.refusal:
            return Processed(Code.PAYMENT_RECORDED_ELSEWHERE, placement.refusal)
        held = f"payment {ledger.record.payment_number} of invoice {ledger.record.invoice_number or 'none'}"
        return Processed(
            Code.PAYMENT_RECORDED,
            "; ".join([*(ledger.done or ["Invoice Ninja holds it already"]), held, *disagreement, *credit]),
        )

    async def _entered_in(self, currency: str, amounts: Amounts) -> Outcome:
        """A person entered it in another currency: that amount is theirs, and so is what goes back of it."""
        rows = await rows_by_hand(self._goal, self._record, self._world)
        total = sum((row.amount for row in rows), Decimal(0))
        back = sum((row.refunded for row in rows), Decimal(0))
        said = f"a person entered it in Invoice Ninja as payment {rows[0].number} over {total} {currency}"
        # The rate of a refund may be another one than that of the payment.
        is_noted = back * amounts.paid >= total * amounts.refunded * _MOST_OF
        to_note = (
            f"{amounts.shown(amounts.refunded)} of {amounts.shown(amounts.paid)} went back, but Invoice Ninja shows "
            f"{back} of {total} {currency} as refunded: note the refund of payment {rows[0].number} there by hand"
        )
        await self._report_problems("" if is_noted else to_note)
        held = {"payment_id": rows[0].id, "payment_number": rows[0].number, "client_id": rows[0].client_id}
        await self._save(**held, status=self._goal.status, reason=f"{said}: nothing is converted", candidates=())
        await self._close_review(said)
        return Processed(Code.PAYMENT_ENTERED_BY_PERSON, said)

    async def _disagreement(self, ledger: PaymentLedger, amounts: Amounts) -> list[str]:
        """What is written on the payment about another invoice than its own goes to a person: no money is moved."""
        if ledger.invoice is None:
            return []
        said = await self._matcher(amounts.paid).disagreement(ledger.invoice)
        number = ledger.invoice_number
        what_to_do = (
            f"{said}; the money stays on invoice {number}. "
            f"`taiga-billing payments match {self._record.identity} {number}` says that this is right; "
            f"else `taiga-billing payments unmatch {self._record.identity} --why REASON`, then match it with the other"
        )
        await self._report_problems(what_to_do if said else "")
        return [said] if said else []

    def _ledger(self, placement: Placement, amount: Decimal, rules: BillingRules) -> PaymentLedger:
        record = self._record
        draft = PaymentDraft(
            number=record.identity,
            client_id=placement.client_id,
            amount=amount,
            date=self._paid_day(rules.timezone),
            transaction_reference=record.identity,
            type_id=payment_type(self._evidence.sources),
            private_notes="\n".join(private_notes(self._goal, record.customer)),
            email_receipt=rules.email_receipt,
        )
        return PaymentLedger(record, draft, placement.invoice, self._world, self._context.clock)

    def _matcher(self, amount: Decimal) -> InvoiceMatcher:
        return InvoiceMatcher(self._evidence, amount, self._world, self._context.mapping)

    def _paid_day(self, zone: str) -> str:
        moment = self._facts.paid_at
        return day_of(int(self._context.clock().timestamp()) if moment is None else moment, zone)

    def _refund_day(self, zone: str) -> str:
        """The day of the newest refund or dispute."""
        moves = [refund.created for refund in self._facts.refunds]
        moves += [dispute.created for dispute in self._facts.disputes]
        return day_of(max(moves), zone) if moves else day_of(int(self._context.clock().timestamp()), zone)

    async def _save(self, **changes: object) -> None:
        self._record = replace(self._record, **changes)  # type: ignore[arg-type]  # the names are those of the record
        await self._world.memory.save(self._record)

    async def _close_review(self, why: str) -> None:
        await self._context.reviews.close(self._record.subject, UNMATCHED, why)
