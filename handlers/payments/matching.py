"""Which invoice a payment is for: what is written on it, or what a person decided; never a guess."""

import re
from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import NeedsPerson, NotFound
from handlers.payments.candidates import Proposals, candidate, propose
from handlers.payments.facts import PaymentEvidence
from handlers.ports.billing import Candidate, PaymentWorld
from mappings.codes import Code
from mappings.config.file import MappingFile
from mappings.invoiceninja.models import Invoice, InvoiceStatus
from mappings.stripe import InvoiceConflict, InvoiceRef, PaymentFacts, ReferenceNames, invoice_reference


@dataclass(frozen=True, slots=True)
class Matched:
    """The invoice, and how it was found, in words for a person."""

    invoice: Invoice
    how: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Why no invoice was taken. `is_named`: the payment names one which cannot be taken.

    `by_hand`: only a person can enter it, because its currency is another one.
    """

    reason: str
    candidates: tuple[Candidate, ...] = ()
    is_named: bool = True
    by_hand: bool = False


Match = Matched | Unmatched

# Anything else in a path would ask for another resource than an invoice.
_ID = re.compile(r"[A-Za-z0-9]{1,64}")


class CannotMatch(NeedsPerson):
    """The invoice that a person decided on cannot be paid: the payment waits for another decision."""


class InvoiceMatcher:
    """Finds the invoice of one payment; `amount` is what arrived, in units of its currency."""

    def __init__(self, evidence: PaymentEvidence, amount: Decimal, world: PaymentWorld, mapping: MappingFile) -> None:
        self._evidence = evidence
        self._facts: PaymentFacts = evidence.facts
        self._amount = amount
        self._world = world
        self._mapping = mapping

    async def match(self) -> Match:
        """The invoice that a person decided on, else the one that is written on the payment.

        Raises:
            CannotMatch: the invoice that a person decided on cannot be paid.
        """
        decision = self._evidence.decision
        if decision is not None and decision.action == "match":
            return await self._decided(decision.invoice, decision.who)
        if decision is not None and decision.action == "unmatch":
            why = decision.why or "no reason was given"
            return Unmatched(f"{decision.who} took it off its invoice: {why}", await self._proposals())
        reference = await self._reference()
        if reference is None:
            return await self._unnamed()
        if isinstance(reference, InvoiceConflict):
            return await self._conflicting(reference)
        return await self._named(reference)

    async def named(self) -> Match | None:
        """The invoice that is written on a payment without money; None when none is."""
        reference = await self._reference()
        if reference is None:
            return None
        if isinstance(reference, InvoiceConflict):
            return await self._conflicting(reference)
        invoice, remarks = await self._resolve(reference)
        if invoice is None:
            return Unmatched(f"{reference.found_in}: {remarks[0]}")
        obstacle = await self._obstacle(invoice) or await self._stranger(invoice)
        return Unmatched(f"{reference.found_in}: {obstacle}") if obstacle else Matched(invoice, reference.found_in)

    async def disagreement(self, recorded: Invoice) -> str:
        """What is written on the payment about other invoices than the one it is recorded for; "" when nothing is.

        A decision of a person outweighs it.
        """
        reference = await self._reference()
        if reference is None or self._evidence.decision is not None:
            return ""
        written = reference.candidates if isinstance(reference, InvoiceConflict) else (reference,)
        others = [(ref, await self._other(ref, recorded)) for ref in written]
        return "; ".join(f"{ref.found_in} names invoice {other.number}" for ref, other in others if other is not None)

    async def _other(self, reference: InvoiceRef, recorded: Invoice) -> Invoice | None:
        """The invoice that a reference names, when there is one and it is another than the recorded one."""
        if recorded.id in {reference.invoice_id, reference.text}:
            return None
        if reference.invoice_id is None and recorded.number in {reference.number, reference.text}:
            return None
        named, _ = await self._resolve(reference)
        return None if named is None or named.is_deleted or named.id == recorded.id else named

    async def _reference(self) -> InvoiceRef | InvoiceConflict | None:
        links = [*self._facts.payment_links, *self._facts.sessions]
        names = ReferenceNames(our_links=await self._world.memory.our_links(links))
        return invoice_reference(self._facts, names)

    async def _decided(self, text: str, who: str) -> Matched:
        invoice = await self._by_text(text)
        problem = f'there is no invoice "{text}" in Invoice Ninja' if invoice is None else await self._obstacle(invoice)
        if invoice is None or problem:
            raise CannotMatch(
                Code.PAYMENT_MATCH_REFUSED,
                f"payment {self._facts.identity} cannot be matched as {who} decided: {problem}",
                f"choose another invoice: taiga-billing payments match {self._facts.identity} INVOICE",
            )
        return Matched(invoice, decided_by(who, text))

    async def _named(self, reference: InvoiceRef) -> Match:
        invoice, remarks = await self._resolve(reference)
        if invoice is None:
            return Unmatched(f"{reference.found_in}: {remarks[0]}", await self._proposals())
        foreign = "" if unpayable(invoice) else await self._other_currency(invoice)
        obstacle = unpayable(invoice) or foreign or await self._stranger(invoice)
        if obstacle:
            candidates = (candidate(invoice, obstacle), *await self._proposals(but=invoice.id))
            return Unmatched(f"{reference.found_in}: {obstacle}", candidates, by_hand=bool(foreign))
        return Matched(invoice, reference.found_in, (*reference.remarks, *remarks))

    async def _resolve(self, reference: InvoiceRef) -> tuple[Invoice | None, tuple[str, ...]]:
        """The invoice and remarks, or None and why. An id is certain; a number may have been given anew."""
        if reference.text is not None:
            invoice = await self._by_text(reference.text)
            return invoice, () if invoice else (f"Invoice Ninja has no invoice {reference.text!r}",)
        if reference.invoice_id:
            invoice = await self._by_id(reference.invoice_id)
            if invoice is None:
                return None, (f"Invoice Ninja has no invoice with the id {reference.invoice_id!r}",)
            differs = reference.number not in {None, invoice.number}
            return invoice, ((f"the payment names number {reference.number!r} as well",) if differs else ())
        invoice = await self._world.books.find_invoice(reference.number or "")
        return invoice, () if invoice else (f"Invoice Ninja has no invoice with the number {reference.number!r}",)

    async def _conflicting(self, conflict: InvoiceConflict) -> Unmatched:
        found: dict[str, Candidate] = {}
        for reference in conflict.candidates:
            invoice, _ = await self._resolve(reference)
            if invoice is not None:
                found.setdefault(invoice.id, candidate(invoice, f"named by {reference.found_in}, but not by all"))
        places = ", ".join(reference.found_in for reference in conflict.candidates)
        return Unmatched(f"several invoices are written on it: {places}", tuple(found.values()))

    async def _unnamed(self) -> Match:
        proposals = await self._propose()
        if proposals.certain is not None:
            obstacle = await self._obstacle(proposals.certain)
            if not obstacle:
                how = "amount: the only open invoice of this client over exactly this amount"
                return Matched(proposals.certain, how)
        return Unmatched("nothing on the payment names an invoice", proposals.candidates, is_named=False)

    async def _proposals(self, but: str = "") -> tuple[Candidate, ...]:
        found = (await self._propose()).candidates
        return tuple(proposal for proposal in found if proposal.invoice_id != but)

    async def _propose(self) -> Proposals:
        return await propose(self._facts, self._amount, self._world, self._mapping)

    async def _by_id(self, invoice_id: str) -> Invoice | None:
        return await _invoice_by_id(invoice_id, self._world)

    async def _by_text(self, text: str) -> Invoice | None:
        return await invoice_by_text(text, self._world)

    async def _obstacle(self, invoice: Invoice) -> str:
        """Why this invoice cannot take the money at all; "" when it can."""
        return unpayable(invoice) or await self._other_currency(invoice)

    async def _other_currency(self, invoice: Invoice) -> str:
        currency = await self._world.books.client_currency(invoice.client_id)
        if self._facts.currency and currency.code != self._facts.currency:
            return (
                f"invoice {invoice.number} is in {currency.code or 'an unknown currency'}, the payment in "
                f"{self._facts.currency}: nothing is converted"
            )
        return ""

    async def _stranger(self, invoice: Invoice) -> str:
        """Why the payer does not fit the invoice: a Stripe customer who paid for another client before."""
        customer = self._facts.person.customer
        known = await self._world.memory.clients_of(customer) if customer else frozenset()
        if not known or invoice.client_id in known:
            return ""
        return (
            f"invoice {invoice.number} belongs to client {invoice.client_id}, but {customer} has paid for client "
            f"{', '.join(sorted(known))}"
        )


async def invoice_by_text(text: str, world: PaymentWorld) -> Invoice | None:
    """The invoice that a person names: a number or an id; a number comes first, because people see numbers."""
    return await world.books.find_invoice(text) or await _invoice_by_id(text, world)


async def _invoice_by_id(invoice_id: str, world: PaymentWorld) -> Invoice | None:
    if not _ID.fullmatch(invoice_id):
        return None
    try:
        return await world.books.invoice(invoice_id)
    except NotFound:
        return None


def decided_by(who: str, text: str) -> str:
    """How a decision is remembered once it is carried out."""
    return f"decided by {who}: invoice {text}"


def unpayable(invoice: Invoice) -> str:
    """Why no payment can be recorded on this invoice; "" when one can (a draft becomes sent and paid by it)."""
    if invoice.is_deleted:
        return f"invoice {invoice.number} is deleted in Invoice Ninja"
    if invoice.status_id in {InvoiceStatus.CANCELLED, InvoiceStatus.REVERSED}:
        return f"invoice {invoice.number} is cancelled in Invoice Ninja"
    if invoice.status_id == InvoiceStatus.PAID and invoice.amount > 0 and not invoice.is_paid:
        return (
            f"invoice {invoice.number} is called paid, but {invoice.paid_to_date} of {invoice.amount} were paid: "
            "it was cancelled and changed afterwards"
        )
    return ""
