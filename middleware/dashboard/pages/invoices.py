"""Invoices: the plans that wait, and how every invoice stood when Invoice Ninja's books were read last."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from urllib.parse import quote, urlencode

from starlette.responses import Response

from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.charts import shares
from middleware.dashboard.labels import sentence
from middleware.dashboard.live import CannotAskError
from middleware.dashboard.pages.payments import names_of
from middleware.dashboard.visit import RefusedError, Visit, go_to
from middleware.store.billing.books import reading_of
from middleware.store.billing.invoice_words import invoice_word
from middleware.store.billing.mirror import STATES, BookInvoice, BookStore, OpenSum
from middleware.store.billing.payment_links import PaymentLinkStore
from middleware.store.billing.payments import PaymentStore
from middleware.store.billing.reports import Reports
from middleware.store.operations.audit import AuditEntry, AuditStore

LIMIT = 50
PLANS = 12
AGES = ("not due yet", "up to 30 days overdue", "31 to 60 days", "61 to 90 days", "more than 90 days")


@dataclass(frozen=True, slots=True)
class Age:
    """One bar of what is open."""

    label: str
    currency: str
    balance: Decimal
    invoices: int
    percent: str


async def show(visit: Visit) -> Response:
    """Plans, what is open by age, and the invoices."""
    pool, state, today = visit.services.pool, visit.asked("state"), visit.now.astimezone(visit.zone).date()
    state = state if state in STATES else ""
    books, after = BookStore(pool), read_place(visit.asked("after"))
    plans, sums, invoices, reading = await asyncio.gather(
        Reports(pool).plans(PLANS), books.open_sums(today), books.page(state, today, after, LIMIT + 1), reading_of(pool)
    )
    next_after = place(invoices[LIMIT - 1]) if len(invoices) > LIMIT else ""
    return visit.page(
        "invoices.html",
        plans=plans,
        reading=reading,
        ages=ages(sums),
        states=STATES,
        state=state,
        rows=[(one, invoice_word(one, today)) for one in invoices[:LIMIT]],
        next_query=urlencode({"state": state, "after": next_after}) if next_after else "",
        is_first=after is None,
        names=await names_of(visit),
    )


async def show_one(visit: Visit) -> Response:
    """One invoice: its payments, its payment page, and the work it bills, each with the way back to its webhook."""
    return await _show_one(visit)


async def make_link(visit: Visit) -> Response:
    """Find the payment page of an invoice, or make one: the same as `taiga-billing invoices link`."""
    await visit.form()
    invoice_id = visit.request.path_params["invoice_id"]
    try:
        link = await visit.desk.asking.link_for(invoice_id)
    except CannotAskError as refusal:
        raise RefusedError(409, sentence(str(refusal))) from refusal
    state = "made" if link.is_new else "found"
    summary = f"payment page of invoice {link.invoice_number} {state}: {link.amount} {link.currency}, {link.link_id}"
    await AuditStore(visit.services.pool).record(AuditEntry(visit.session.name, "invoice.linked", summary))
    # A remark is shown at once: addresses carry no text of ours.
    return (
        await _show_one(visit, link.remark)
        if link.remark
        else go_to(f"/invoices/{quote(invoice_id, safe='')}", said="linked-1")
    )


async def _show_one(visit: Visit, remark: str = "") -> Response:
    pool, invoice_id = visit.services.pool, visit.request.path_params["invoice_id"]
    invoice, lines, payments, links = await asyncio.gather(
        BookStore(pool).find(invoice_id),
        Reports(pool).of_invoice(invoice_id),
        PaymentStore(pool).of_invoice(invoice_id),
        PaymentLinkStore(pool).of_invoice(invoice_id),
    )
    if invoice is None and not (lines or payments or links):
        raise RefusedError(404, "This invoice is not known here; Invoice Ninja is read every ten minutes.")
    number = next(
        (one for one in (invoice.number if invoice else "", *(line.invoice_number for line in lines)) if one), ""
    )
    return visit.page(
        "invoice.html",
        invoice_id=invoice_id,
        number=number or invoice_id,
        invoice=invoice,
        word=invoice_word(invoice, visit.now.astimezone(visit.zone).date()) if invoice else "",
        lines=lines,
        hours=sum((line.hours for line in lines), Decimal(0)),
        payments=payments,
        links=[link for link in links if link.url and link.state == "open"],
        may_link=visit.session.is_admin and (invoice is None or invoice.balance > 0),
        remark=remark,
        names=await names_of(visit),
        ninja=NinjaPages(visit.services.settings.invoice_ninja_api),
    )


def ages(sums: Sequence[OpenSum]) -> list[Age]:
    """What is open by age; bars are compared within a currency."""
    found: list[Age] = []
    for currency in sorted({one.currency for one in sums}):
        own = {one.bucket: one for one in sums if one.currency == currency}
        balances = [own[bucket].balance if bucket in own else Decimal(0) for bucket in range(len(AGES))]
        percents = shares(balances)
        found += [
            Age(
                AGES[bucket], currency, balances[bucket], own[bucket].invoices if bucket in own else 0, percents[bucket]
            )
            for bucket in range(len(AGES))
        ]
    return found


def place(invoice: BookInvoice) -> str:
    """Where a page ended, for the address of the next one."""
    return f"{invoice.day.isoformat() if invoice.day else ''}|{invoice.invoice_id}"


def read_place(text: str) -> tuple[date | None, str] | None:
    """What `place` wrote; None for anything else."""
    day, _, invoice_id = text.partition("|")
    if not invoice_id:
        return None
    try:
        return (date.fromisoformat(day) if day else None), invoice_id
    except ValueError:
        return None
