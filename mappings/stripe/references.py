"""Which invoice of Invoice Ninja a payment is for: only what is written on it counts, nothing is guessed.

Metadata and our own payment link are written by the merchant's side and must agree. The client reference of a Checkout
Session can be changed by the customer in the address of a payment link: it counts only when nothing else is there.
Source: docs/facts/stripe.md sections 5 and 8.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mappings.stripe.facts import PaymentFacts


@dataclass(frozen=True, slots=True)
class ReferenceNames:
    """Where to look: metadata keys, and the invoices that our own payment links and sessions were made for.

    `our_links` maps a payment link (`plink_`) or Checkout Session (`cs_`) we made to an Invoice Ninja invoice id.
    """

    invoice_id: str = "invoice_ninja_invoice_id"
    invoice_number: str = "invoice_number"
    our_links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InvoiceRef:
    """What is written on the payment. `text` is an id or a number, nobody knows which (a client reference).

    `found_in` says where, in words for a person; `remarks` what disagrees without being trusted.
    """

    invoice_id: str | None
    number: str | None
    text: str | None
    found_in: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoiceConflict:
    """Several invoices are written on one payment: a person decides."""

    candidates: tuple[InvoiceRef, ...]


def invoice_reference(facts: PaymentFacts, names: ReferenceNames) -> InvoiceRef | InvoiceConflict | None:
    """The invoice that the payment names, a conflict, or None when it names none."""
    trusted = list(_trusted(facts, names))
    if not trusted:
        return _only_text(facts)
    ids = {ref.invoice_id for ref in trusted if ref.invoice_id}
    numbers = {ref.number for ref in trusted if ref.number}
    if len(ids) > 1 or len(numbers) > 1:
        return InvoiceConflict(tuple(trusted))
    known = ids | numbers
    return InvoiceRef(
        invoice_id=next(iter(ids), None),
        number=next(iter(numbers), None),
        text=None,
        found_in=trusted[0].found_in,
        remarks=tuple(
            f"client reference {text!r} says otherwise" for text in facts.client_references if text not in known
        ),
    )


def _trusted(facts: PaymentFacts, names: ReferenceNames) -> Iterator[InvoiceRef]:
    for label in facts.labels:
        invoice_id, number = label.value(names.invoice_id), label.value(names.invoice_number)
        if invoice_id or number:
            yield InvoiceRef(invoice_id, number, None, f"metadata of {label.source} {label.id}")
    for link in (*facts.payment_links, *facts.sessions):
        if link in names.our_links:
            yield InvoiceRef(names.our_links[link], None, None, f"our payment link {link}")


def _only_text(facts: PaymentFacts) -> InvoiceRef | InvoiceConflict | None:
    found = tuple(InvoiceRef(None, None, text, "client reference") for text in facts.client_references)
    if len(found) > 1:
        return InvoiceConflict(found)
    return found[0] if found else None
