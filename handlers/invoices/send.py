"""Invoices are to be e-mailed: all that wait go with one request, because Invoice Ninja takes one a second.

Invoice Ninja answers 200 and calls an invoice sent also when nobody has an address or its mail server is down. So the
recipients are looked at first, and only a new message id afterwards proves a mail (docs/facts/invoice-ninja-2.md
section 6). What was asked for is remembered until then, as a link of kind `invoice_mail`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from handlers.errors import NotFound, RetryLater
from handlers.event import Event, Work
from handlers.invoices.events import SEND_SUBJECT
from handlers.invoices.plan import world_of
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context, Link
from handlers.ports.invoice_world import InvoiceWorld, client_subject
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice, InvoiceStatus
from mappings.invoiceninja.recipients import message_ids, recipients

MAIL = "invoice_mail"
NOT_MAILED = "invoice_not_mailed"
PROOF_WITHIN = timedelta(minutes=15)
"""How long Invoice Ninja's own queue may take to hand a mail over before a person is asked."""

_TOGETHER = 50
_LOOK_AGAIN = 60.0
"""Seconds until the next look for the proof of a mail."""


async def send_invoices(work: Work, context: Context) -> Outcome:
    """E-mail every invoice that is due and still the draft that was made.

    One that is sent already, by a lost answer or by a person, is not sent again; one whose sum was changed is left to
    the person who changed it; one that nobody would get stays a draft, and a review says whose address is missing.

    Raises:
        RetryLater: more follow, or the proof that a mail was handed over is awaited.
        RemoteError: Invoice Ninja failed, or took such a request within the last second.
    """
    mailing = _Mailing(world_of(context), context)
    for event in work.due:
        await mailing.look_at(event)
    return await mailing.send()


@dataclass
class _Mailing:
    """One request for all invoices that wait, and the proofs of those that were asked for before."""

    world: InvoiceWorld
    context: Context
    _ready: dict[str, Invoice] = field(default_factory=dict)
    _asked: dict[str, Link] = field(default_factory=dict)
    _told: list[str] = field(default_factory=list)
    _are_awaited: bool = False
    _is_any_sent: bool = False

    async def look_at(self, event: Event) -> None:
        """Sort the invoice in: to be sent, asked for already, or not to be sent and why."""
        invoice_id = event.payload["invoice_id"]
        invoice = await self._present(event)
        if invoice is None or invoice_id in self._ready:
            return
        links = await self.context.links.of_subject(SEND_SUBJECT)
        asked = next((link for link in links if link.kind == MAIL and link.number == invoice_id), None)
        if asked is not None and invoice.status_id != InvoiceStatus.DRAFT:
            await self._settle(invoice, asked)
        elif invoice.status_id != InvoiceStatus.DRAFT:
            await self._tell_sent(invoice)
        elif invoice.amount != Decimal(event.payload["amount"]):
            self._told.append(f"invoice {invoice.name} was changed to {invoice.amount}: send it in Invoice Ninja")
        elif await self._has_recipients(invoice):
            self._ready[invoice_id] = invoice

    async def send(self) -> Outcome:
        """Send what is ready; the text says how each invoice ended."""
        waiting = list(self._ready.values())
        for start in range(0, len(waiting), _TOGETHER):
            await self._send_together(waiting[start : start + _TOGETHER])
            if len(waiting) > start + _TOGETHER:
                raise RetryLater(Code.MORE_TO_SEND, f"{'; '.join(self._told)}; the others follow", 1.3)
        told = "; ".join(self._told)
        if self._are_awaited:
            raise RetryLater(Code.MAIL_AWAITED, told, _LOOK_AGAIN)
        return Processed(Code.INVOICES_SENT, told) if self._is_any_sent else Ignored(Code.NOTHING_TO_SEND, told)

    async def _present(self, event: Event) -> Invoice | None:
        name = event.payload["number"] or event.payload["invoice_id"]
        try:
            invoice = await self.world.books.invoice(event.payload["invoice_id"])
        except NotFound:
            self._told.append(f"invoice {name} is gone")
            return None
        if invoice.is_deleted:
            self._told.append(f"invoice {name} was deleted")
            return None
        return invoice

    async def _tell_sent(self, invoice: Invoice) -> None:
        """It is no draft any more: by a mail, by a person, or because a program opened the link of the draft."""
        if message_ids(invoice.invitations) or invoice.status_id != InvoiceStatus.SENT:
            self._told.append(f"invoice {invoice.name} is sent already")
            await self.context.reviews.close(_subject(invoice), NOT_MAILED, "it was e-mailed")
            return
        self._told.append(f"invoice {invoice.name} is marked sent, but no e-mail of it is known")
        await self._ask_person(
            invoice,
            f"invoice {invoice.name} should be e-mailed, but is marked sent without an e-mail: somebody marked"
            " it sent, or a program opened its link. Send it in Invoice Ninja, unless it went out in another way",
        )

    async def _has_recipients(self, invoice: Invoice) -> bool:
        try:
            client = await self.world.books.client(invoice.client_id)
        except NotFound:
            client = None
        if client is not None and recipients(invoice, client):
            return True
        name = client.name if client is not None else invoice.client_id
        why = f"client {name} has no contact with an e-mail address that gets its invoices"
        self._told.append(f"invoice {invoice.name} was not sent: {why}")
        await self._ask_person(
            invoice,
            f"invoice {invoice.name} waits to be e-mailed: {why}. Enter the address in Invoice Ninja, then send the"
            " invoice there, or replay the event invoice.send",
        )
        return False

    async def _send_together(self, invoices: Sequence[Invoice]) -> None:
        now = self.context.clock()
        for invoice in invoices:
            state = {"asked_at": now.isoformat(), "known": sorted(message_ids(invoice.invitations))}
            self._asked[invoice.id] = Link(SEND_SUBJECT, MAIL, invoice.id, invoice.id, state)
            await self.context.links.save(self._asked[invoice.id])
        answered = await self.world.books.email_invoices([invoice.id for invoice in invoices])
        present = {invoice.id: invoice for invoice in answered}
        for before in invoices:
            invoice = present.get(before.id, before)
            if invoice.number != before.number:
                await self.world.plans.numbered(invoice.id, invoice.number)
            await self._settle(invoice, self._asked[before.id])

    async def _settle(self, invoice: Invoice, asked: Link) -> None:
        """Look whether the mail was handed over."""
        subject = _subject(invoice)
        if message_ids(invoice.invitations) - set(asked.state["known"]):
            self._told.append(f"invoice {invoice.name} sent")
            self._is_any_sent = True
            await self.context.reviews.close(subject, NOT_MAILED, "it was e-mailed")
        elif self.context.clock() - datetime.fromisoformat(asked.state["asked_at"]) < PROOF_WITHIN:
            self._told.append(f"invoice {invoice.name}: Invoice Ninja has not sent the mail yet")
            self._are_awaited = True
            return
        else:
            self._told.append(f"invoice {invoice.name} was marked sent, but no mail was sent")
            await self._ask_person(
                invoice,
                f"Invoice Ninja calls invoice {invoice.name} sent, but handed no mail over within"
                f" {PROOF_WITHIN.total_seconds() / 60:.0f} minutes: look at its mail settings and system log, then send"
                " the invoice there",
            )
        await self.context.links.remove(asked)

    async def _ask_person(self, invoice: Invoice, summary: str) -> None:
        details = {"invoice_id": invoice.id, "number": invoice.number}
        await self.context.reviews.open(_subject(invoice), NOT_MAILED, summary, details)


def _subject(invoice: Invoice) -> str:
    return f"{client_subject(invoice.client_id)}:{invoice.id}"
