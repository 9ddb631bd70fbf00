"""Invoices that were requested again because they were not found: the first request may still be carried out late.

Nothing at Invoice Ninja prevents a second invoice (docs/facts/invoice-ninja.md section 4). So what was given up is kept
in mind for a day, and looked for by its mark: at every run for the client, and by the recheck.
"""

from datetime import timedelta

from handlers.invoices.conclude import FLAGGED, look_at_items
from handlers.invoices.intents import (
    InvoiceIntent,
    believe_again,
    doubted_intents,
    finished_ids,
    forget_doubt,
    marked,
)
from handlers.invoices.invoice_linking import link_again
from handlers.invoices.unbilled import billing
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld, client_subject
from mappings.invoiceninja.models import Invoice, InvoiceStatus

REMEMBERED = timedelta(days=1)


async def settle_doubts(client_id: str, world: InvoiceWorld, context: Context) -> list[str]:
    """Look for invoices that a late request made; returns what was done about them.

    One whose hours another invoice bills is deleted again, or shown to a person when it was sent already. One that is
    the only one for its hours becomes what it was meant to be.
    """
    told: list[str] = []
    for intent in await doubted_intents(client_id, context):
        known = await finished_ids(client_id, context)
        for late in await marked(intent, world.books):
            if late.id not in known:
                told += await _settle_late(late, intent, world, context)
        if context.clock() - intent.posted_at > REMEMBERED:
            await forget_doubt(intent, context)
    return told


async def _settle_late(late: Invoice, intent: InvoiceIntent, world: InvoiceWorld, context: Context) -> list[str]:
    rivals = await _rivals(late, intent, world)
    if not rivals:
        await believe_again(intent, context)
        return [f"invoice {late.name} was created late and is adopted"]
    numbers = ", ".join(rival.name for rival in rivals)
    if late.status_id != InvoiceStatus.DRAFT:
        subject = f"{client_subject(late.client_id)}:{late.id}"
        summary = f"invoice {late.name} was made by a late request and bills the hours of invoice {numbers} once more"
        await context.reviews.open(subject, FLAGGED, summary, {"invoice_id": late.id, "number": late.number})
        return [f"{summary}: it has been sent; a person must cancel one of them"]
    # Their tasks went over to the late invoice: they get them back before it goes, so that they are free at no time.
    obstacles = [await link_again(rival, world.books) for rival in rivals]
    await world.books.delete_invoice(late.id)
    await look_at_items(intent, late, world, context)
    told = [f"invoice {late.name} was made by a late request for the hours of invoice {numbers}: deleted again"]
    return told + [obstacle for obstacle in obstacles if obstacle]


async def _rivals(late: Invoice, intent: InvoiceIntent, world: InvoiceWorld) -> list[Invoice]:
    """The other live invoices that bill some of its tasks; they may be dated by the period, or by a person."""
    found = await billing(
        world.books, late.task_ids, min(entry.first_day for entry in intent.planned.entries), late.client_id
    )
    return [invoice for invoice in found if invoice.id != late.id]
