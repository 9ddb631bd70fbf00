"""A payment page at Stripe for what is open of an invoice: made once, written into the invoice, closed when it is paid.

What Stripe is asked for is stored before (the plan), and repeated under the same idempotency key after a kill. Asking
again gives the same link, as long as the open balance is the same.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from handlers.errors import NeedsPerson, NotFound, Rejected
from handlers.payment_links.steps import LinkSteps
from handlers.ports.billing import InvoiceBooks
from handlers.ports.context import Context
from handlers.ports.payment_links import LinkPlan, LinkRecord, LinkWorld
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice
from mappings.invoices.payable import price_of, why_not_payable
from mappings.stripe.payment_links import with_address
from mappings.values.money import MoneyError

# Anything else in a path would ask for another resource than an invoice.
_ID = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """The payment page of an invoice. `amount` in units of the currency; `remark` for a person, "" when all is well."""

    invoice_id: str
    invoice_number: str
    url: str
    link_id: str
    amount: Decimal
    currency: str
    is_new: bool
    written_to: str
    remark: str = ""


async def payment_link(reference: str, context: Context) -> PaymentLink:
    """The payment page for the open balance of an invoice, named by its number or id; made if there is none yet.

    Raises:
        NeedsPerson: there is no such invoice, nothing is open on it, or money for it is on its way.
        RemoteError: Stripe or Invoice Ninja failed; asking again goes on where it stopped.
    """
    world = links_of(context)
    invoice = await find_invoice(reference, world.payments.books)
    async with world.payments.exclusive(lock_of(invoice.id)):
        return await LinkKeeper(invoice.id, context, world).link()


class LinkKeeper:
    """Keeps the payment page of one invoice as it should be; its caller holds the lock of that invoice."""

    def __init__(self, invoice_id: str, context: Context, world: LinkWorld) -> None:
        self._invoice_id = invoice_id
        self._context = context
        self._world = world
        self._pages = LinkSteps(world, context.clock)

    async def link(self) -> PaymentLink:
        """The one link that may be paid.

        Raises:
            NeedsPerson: nobody should be asked to pay this invoice, or Stripe cannot charge its amount.
        """
        invoice = await self._world.payments.books.invoice(self._invoice_id)
        records = await self._settled(await self._world.memory.of_invoice(invoice.id))
        obstacle = why_not_payable(invoice)
        if obstacle:
            await self._retire(records, obstacle)
            raise NeedsPerson(
                Code.NO_PAYMENT_LINK, f"no payment link: {obstacle}", "a payment link is for an invoice that is open"
            )
        try:
            currency, amount = await self._price(invoice)
        except NeedsPerson as error:
            await self._retire(records, error.reason)
            raise
        kept = await self._kept(records, currency, amount)
        is_new = kept is None
        if kept is None:
            await self._pages.demand_nothing_under_way(await self._world.memory.of_invoice(invoice.id))
            plan = LinkPlan(invoice.id, invoice.number, invoice.client_id, currency, amount)
            kept = await self._pages.make(await self._world.memory.plan(plan))
        written, remark = await self._write(kept)
        return PaymentLink(
            invoice.id, invoice.number, kept.url, kept.link_id, invoice.balance, currency, is_new, written, remark
        )

    async def tend(self) -> str:
        """Close the link of an invoice that is paid, replace one over another amount; returns what was done or "".

        Raises:
            RemoteError: Stripe or Invoice Ninja failed.
        """
        before = await self._live()
        if not before:
            return ""
        try:
            link = await self.link()
        except NeedsPerson as error:
            return error.reason
        except NotFound:
            await self._retire(before, "its invoice is gone from Invoice Ninja")
            return "its invoice is gone"
        same = {record.link_id for record in before if record.state == "open"}
        return "" if link.link_id in same else f"a link over {link.amount} {link.currency} was made"

    async def _live(self) -> list[LinkRecord]:
        return [one for one in await self._world.memory.of_invoice(self._invoice_id) if one.is_live]

    async def _settled(self, records: Sequence[LinkRecord]) -> list[LinkRecord]:
        """The live links, plans finished first: what a kill left half made may be open at Stripe already."""
        return [record if record.link_id else await self._pages.make(record) for record in records if record.is_live]

    async def _retire(self, records: Sequence[LinkRecord], why: str) -> None:
        for record in records:
            await self._pages.retire(record, why)

    async def _kept(self, records: Sequence[LinkRecord], currency: str, amount: int) -> LinkRecord | None:
        """The link that is right already; all others are retired."""
        kept = None
        for record in reversed(records):
            if kept is None and (record.currency, record.amount) == (currency, amount):
                kept = record if await self._pages.is_usable(record) else None
            else:
                await self._pages.retire(record, "the open balance of its invoice changed")
        return kept

    async def _price(self, invoice: Invoice) -> tuple[str, int]:
        currency = await self._world.payments.books.client_currency(invoice.client_id)
        try:
            return currency.code.upper(), price_of(invoice, currency.code)
        except MoneyError as error:
            raise NeedsPerson(
                Code.NO_PAYMENT_LINK, f"no payment link for invoice {invoice.number}: {error}", error.hint
            ) from error

    async def _write(self, record: LinkRecord) -> tuple[str, str]:
        """Put the address into the invoice; returns where it stands and a remark for a person."""
        books = self._world.payments.books
        # Looked at again: a cancelled invoice is never written, a PUT would make it paid.
        invoice = await books.invoice(record.invoice_id)
        field = self._context.mapping.client(invoice.client_id).payment_link_field
        if field == "none" or why_not_payable(invoice):
            return "", ""
        is_notes = field == "public_notes"
        text = invoice.public_notes if field == "public_notes" else invoice.custom_values.get(field, "")
        earlier = [one.url for one in await self._world.memory.of_invoice(invoice.id) if one.url]
        wanted = with_address(text, record.url, earlier, is_notes=is_notes)
        if wanted == text:
            return field, ""
        try:
            await books.update_invoice(invoice.id, {field: wanted})
        except Rejected as error:
            return "", f"Invoice Ninja does not let its address be written into {field}: {error.message}"
        return field, ""


def links_of(context: Context) -> LinkWorld:
    """What payment links need.

    Raises:
        NeedsPerson: no key of Stripe is configured.
    """
    if context.payment_links is None:
        raise NeedsPerson(
            Code.PAYMENT_LINKS_NOT_CONFIGURED,
            "payment links are made at Stripe, and no STRIPE_API_KEY is set",
            "set STRIPE_API_KEY",
        )
    return context.payment_links


def lock_of(invoice_id: str) -> str:
    """The name of the lock around everything that is done with the link of an invoice."""
    return f"payment link of {invoice_id}"


async def find_invoice(reference: str, books: InvoiceBooks) -> Invoice:
    """The invoice of this number, else of this id: people see numbers.

    Raises:
        NeedsPerson: there is none.
    """
    wanted = reference.strip()
    found = await books.find_invoice(wanted) if wanted else None
    if found is None and _ID.fullmatch(wanted):
        try:
            found = await books.invoice(wanted)
        except NotFound:
            found = None
    if found is None:
        raise NeedsPerson(
            Code.INVOICE_UNKNOWN,
            f"there is no invoice {wanted!r} in Invoice Ninja",
            "give its number as Invoice Ninja shows it, or its id",
        )
    return found
