"""Invoices that were asked for and are not known to be finished: remembered before the request, looked for after it.

An invoice keeps Invoice Ninja's own number, so our mark in a custom field is what it is found by. An intent is a link
of kind `invoice` under the client's subject, without an id until everything about the invoice is done.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from handlers.errors import RetryLater
from handlers.invoices.events import Due
from handlers.invoices.verify import Logs
from handlers.ports.context import Context, Link
from handlers.ports.invoice_world import BillingBooks, client_subject
from mappings.codes import Code
from mappings.invoiceninja.models import NOT_OWED, Invoice
from mappings.invoices.identity import mark
from mappings.invoices.models import PlannedInvoice
from mappings.invoices.plan_json import (
    invoice_as_json,
    invoice_from_json,
    period_as_json,
    period_from_json,
)

KIND = "invoice"
DOUBTED = "invoice_doubt"
"""The kind of links that remember what was given up, see `handlers.invoices.late_requests`."""

STILL_ON_ITS_WAY = timedelta(seconds=30)
"""How long a request may still be carried out whose answer we did not see; the client gives up earlier."""


@dataclass(frozen=True, slots=True)
class InvoiceIntent:
    """An invoice that was asked for, and the logs of its tasks at that moment."""

    due: Due
    planned: PlannedInvoice
    posted_at: datetime
    logs: Logs = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What it is found by."""
        return mark(self.due.period, self.planned.client_id, self.planned.entries)


async def remember(intent: InvoiceIntent, context: Context) -> None:
    """Before the request."""
    await context.links.save(Link(client_subject(intent.planned.client_id), KIND, intent.mark, "", _state(intent)))


async def forget(intent: InvoiceIntent, context: Context) -> None:
    """The request was not carried out."""
    await context.links.remove(Link(client_subject(intent.planned.client_id), KIND, intent.mark, "", {}))


async def doubt(intent: InvoiceIntent, context: Context) -> None:
    """The request was not carried out as far as can be seen: it is given up, and may be carried out late."""
    await context.links.save(_doubt_of(intent, _state(intent)))
    await forget(intent, context)


async def believe_again(intent: InvoiceIntent, context: Context) -> None:
    """What was given up was made after all: it is to be finished like any other.

    It stays in mind: when it was asked for more than once, another one may follow.
    """
    await remember(intent, context)


async def forget_doubt(intent: InvoiceIntent, context: Context) -> None:
    """Nothing late is to be expected of it any more."""
    await context.links.remove(_doubt_of(intent, {}))


async def doubted_intents(client_id: str, context: Context) -> list[InvoiceIntent]:
    """The invoices of a client that were given up."""
    links = await context.links.of_subject(client_subject(client_id))
    return [_intent(client_id, link.state) for link in links if link.kind == DOUBTED]


async def finished_ids(client_id: str, context: Context) -> set[str]:
    """The ids of the invoices of a client that were finished."""
    links = await context.links.of_subject(client_subject(client_id))
    return {link.remote_id for link in links if link.kind == KIND and link.remote_id}


async def finish(intent: InvoiceIntent, invoice: Invoice, context: Context) -> None:
    """Everything about the invoice is done."""
    state = {
        "invoice_number": invoice.number,
        "amount": str(invoice.amount),
        "currency": intent.planned.currency,
        "period": intent.due.period.name,
        "plan_id": intent.due.plan_id,
    }
    await context.links.save(Link(client_subject(intent.planned.client_id), KIND, intent.mark, invoice.id, state))


async def open_intents(client_id: str, context: Context) -> list[InvoiceIntent]:
    """The invoices of a client that are not known to be finished."""
    links = await context.links.of_subject(client_subject(client_id))
    return [_intent(client_id, link.state) for link in links if link.kind == KIND and not link.remote_id]


async def find_made(intent: InvoiceIntent, books: BillingBooks) -> Invoice | None:
    """The live invoice that was made of the intent.

    One that carries the mark without billing any of the tasks is another: somebody took its lines away, and the time is
    billed again.
    """
    live = await marked(intent, books)
    return max(live, key=lambda invoice: (invoice.created_at, invoice.id), default=None)


async def marked(intent: InvoiceIntent, books: BillingBooks) -> list[Invoice]:
    """All live invoices that bear the mark of the intent and bill one of its tasks."""
    wanted = {entry.task_id for entry in intent.planned.entries}
    found = await books.marked_invoices(intent.planned.terms.mark_field, intent.mark)
    return [invoice for invoice in found if _bills(invoice, wanted)]


def wait_if_young(intent: InvoiceIntent, now: datetime) -> None:
    """Let some time pass before another invoice is made in place of one whose request may still be carried out.

    Raises:
        RetryLater: it was sent a moment ago.
    """
    left = (intent.posted_at + STILL_ON_ITS_WAY - now).total_seconds()
    if left > 0:
        raise RetryLater(
            Code.ANSWER_AWAITED,
            "the request for an invoice got no answer; searching for it before another is created",
            left,
        )


def _doubt_of(intent: InvoiceIntent, state: Mapping[str, Any]) -> Link:
    return Link(client_subject(intent.planned.client_id), DOUBTED, intent.mark, "", state)


def _bills(invoice: Invoice, wanted: Collection[str]) -> bool:
    is_live = not invoice.is_deleted and invoice.status_id not in NOT_OWED
    return is_live and not set(wanted).isdisjoint(invoice.task_ids)


def _state(intent: InvoiceIntent) -> Mapping[str, Any]:
    due = intent.due
    return {
        "posted_at": intent.posted_at.isoformat(),
        "planned": invoice_as_json(intent.planned),
        "plan_id": due.plan_id,
        "period": period_as_json(due.period),
        "is_strict": due.is_strict,
        "send": due.send,
        "logs": {task_id: [list(span) for span in spans] for task_id, spans in intent.logs.items()},
    }


def _intent(client_id: str, state: Mapping[str, Any]) -> InvoiceIntent:
    due = Due(state["plan_id"], client_id, period_from_json(state["period"]), state["is_strict"], state["send"])
    # What earlier versions stored has no logs.
    logs = {task_id: tuple((begin, end) for begin, end in spans) for task_id, spans in state.get("logs", {}).items()}
    return InvoiceIntent(due, invoice_from_json(state["planned"]), datetime.fromisoformat(state["posted_at"]), logs)
