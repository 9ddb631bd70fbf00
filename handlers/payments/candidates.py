"""Which invoices a payment without a name may be for: proposals for a person, with why each was not taken."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from decimal import Decimal

from handlers.ports.billing import Candidate, PaymentWorld
from mappings.config.file import MappingFile
from mappings.invoiceninja.models import Invoice, InvoiceStatus
from mappings.stripe import PaymentFacts

_OPEN = (InvoiceStatus.SENT, InvoiceStatus.PARTIAL)
_MOST = 20
"""Candidates that are kept: nobody reads more."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """What may be meant. `certain` is the one that `match_by_amount: auto` allows to take."""

    candidates: tuple[Candidate, ...] = ()
    certain: Invoice | None = None


def candidate(invoice: Invoice, why_not: str) -> Candidate:
    """An invoice as a candidate."""
    return Candidate(invoice.id, invoice.number, invoice.client_id, str(invoice.balance), why_not)


async def propose(facts: PaymentFacts, amount: Decimal, world: PaymentWorld, mapping: MappingFile) -> Proposals:
    """Open invoices that fit: of the clients that the payer is known as, else of anybody with exactly this amount.

    The payer is known by earlier payments of the same Stripe customer, else by the e-mail address.
    """
    clients = await _known_clients(facts, world)
    if not clients:
        if mapping.billing_rules.match_by_amount == "off":
            return Proposals()
        return await _of_anybody(facts, amount, world)
    found: list[Candidate] = []
    exact: list[Invoice] = []
    for client in sorted(clients):
        if mapping.client(client).match_by_amount == "off" or not await _is_in(facts, client, world):
            continue
        invoices = await world.books.payable_invoices(client)
        exact += [invoice for invoice in invoices if invoice.balance == amount]
        found += [candidate(invoice, f"its open balance is {invoice.balance}") for invoice in invoices]
    why = "the only open invoice of this client over exactly this amount, but nothing on the payment names it"
    marked = _marked(exact, why)
    others = [other for other in found if other.invoice_id not in {one.invoice_id for one in marked}]
    is_certain = len(exact) == 1 and mapping.client(exact[0].client_id).match_by_amount == "auto"
    return Proposals((*marked, *_sorted(others))[:_MOST], exact[0] if is_certain else None)


async def _known_clients(facts: PaymentFacts, world: PaymentWorld) -> frozenset[str]:
    person = facts.person
    known = await world.memory.clients_of(person.customer) if person.customer else frozenset()
    if known or not person.email:
        return known
    return frozenset(client.id for client in await world.books.clients_with_email(person.email))


async def _is_in(facts: PaymentFacts, client_id: str, world: PaymentWorld) -> bool:
    return (await world.books.client_currency(client_id)).code == facts.currency


async def _of_anybody(facts: PaymentFacts, amount: Decimal, world: PaymentWorld) -> Proposals:
    everybody = world.books.invoices(statuses=_OPEN)
    exact = await _first([invoice async for invoice in _over(everybody, amount)], facts, world)
    why = "it is over exactly this amount, but its client is not known to be this payer"
    return Proposals(_marked(exact, why))


async def _over(invoices: AsyncIterator[Invoice], amount: Decimal) -> AsyncIterator[Invoice]:
    async for invoice in invoices:
        if invoice.balance == amount:
            yield invoice


async def _first(invoices: Iterable[Invoice], facts: PaymentFacts, world: PaymentWorld) -> list[Invoice]:
    """The first of them that are in the currency of the payment."""
    found: list[Invoice] = []
    for invoice in invoices:
        if len(found) < _MOST and await _is_in(facts, invoice.client_id, world):
            found.append(invoice)
    return found


def _marked(exact: list[Invoice], why: str) -> tuple[Candidate, ...]:
    several = f"{len(exact)} open invoices are over exactly this amount"
    return _sorted(candidate(invoice, why if len(exact) == 1 else several) for invoice in exact)


def _sorted(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(candidates, key=lambda one: (one.number, one.invoice_id)))
