"""Reads everything that a plan looks at: a few requests and pages, however many tasks there are."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import date, timedelta

from handlers.errors import NotFound
from handlers.ports.invoice_world import BillingBooks, InvoiceWorld
from mappings.invoiceninja.models import NOT_OWED, Invoice, NinjaClient
from mappings.invoiceninja.tasks import Task
from mappings.invoices.models import PeriodWork
from mappings.invoices.period import Period, local_date

_MARGIN = timedelta(days=31)
"""An invoice may be dated before the work that it bills, but hardly by more than this."""


async def read_work(
    world: InvoiceWorld,
    period: Period,
    client_id: str = "",
    *,
    for_people: bool = True,
    billed_by: Mapping[str, str] | None = None,
) -> PeriodWork:
    """The present unbilled work, of one client when given.

    What only a person wants to know (credits, events whose hours are not recorded) is left away unless `for_people`.
    Invoices are not read where `billed_by` says which ones bill what.

    Raises:
        RemoteError: Invoice Ninja failed.
    """
    books, plans = world.books, world.plans
    # Not a task group: whoever judges a failure looks for the error itself, not for a group of errors.
    tasks, clients, projects, people, company, statics = await asyncio.gather(
        books.unbilled_tasks(client_id),
        _clients(books, client_id),
        books.project_list(client_id),
        books.people(),
        books.company(),
        books.statics(),
    )
    # Most installations have no groups of clients: then nobody is asked for them.
    groups = await books.client_groups() if any(client.group_id for client in clients.values()) else {}
    begun = [task for task in tasks if task.log and task.started_at < period.ends_at]
    links = await plans.time_links([task.id for task in begun])
    return PeriodWork(
        period=period,
        tasks=begun,
        clients=clients,
        projects={project.id: project for project in projects},
        company=company,
        statics=statics,
        people=people,
        links=links,
        unresolved=await plans.unresolved(None if for_people else {link.subject for link in links.values()}),
        credits=await plans.credit_proposals() if for_people else (),
        billed_by=await _billed_by(books, begun, period, client_id) if billed_by is None else billed_by,
        groups=groups,
        knows_all_clients=not client_id,
        number_prefix=world.number_prefix,
    )


async def overlapping(books: BillingBooks, tasks: Sequence[Task], period: Period, client_id: str) -> list[Invoice]:
    """The live invoices whose lines name one of these unlinked tasks.

    A task may be free though an invoice still bills it: Invoice Ninja lets a second invoice take the task over, and
    frees it when that one is deleted (docs/facts/invoice-ninja.md section 7).
    """
    if not tasks:
        return []
    first_day = local_date(min(task.started_at for task in tasks), period.timezone)
    return await billing(books, {task.id for task in tasks}, first_day, client_id)


async def billing(books: BillingBooks, task_ids: Collection[str], first_day: date, client_id: str) -> list[Invoice]:
    """The live invoices whose lines name one of these tasks, which were begun on `first_day` or later."""
    return [
        invoice
        async for invoice in books.invoices_since(first_day - _MARGIN, client_id)
        if invoice.status_id not in NOT_OWED and not set(task_ids).isdisjoint(invoice.task_ids)
    ]


async def _billed_by(books: BillingBooks, tasks: Sequence[Task], period: Period, client_id: str) -> Mapping[str, str]:
    found = await overlapping(books, tasks, period, client_id)
    return {task_id: invoice.name for invoice in found for task_id in invoice.task_ids}


async def _clients(books: BillingBooks, client_id: str) -> Mapping[str, NinjaClient]:
    if not client_id:
        return {client.id: client for client in await books.client_list()}
    try:
        return {client_id: await books.client(client_id)}
    except NotFound:
        return {}
