"""Reads both sides of the balance of hours: what we remember of Taiga, and everything that Invoice Ninja holds."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from handlers.event import own_event
from handlers.invoices.events import TASK_INVOICED
from handlers.invoices.unbilled import read_work
from handlers.ports.context import Context
from handlers.ports.invoice_world import BillingBooks, Invoiced, InvoiceWorld
from handlers.time.cancelled import LOST, LostEntry, ask_about_cancelled, ask_about_lost
from mappings.invoiceninja.models import NOT_OWED
from mappings.invoices.balance import (
    DELETED,
    GONE,
    NO_LINE,
    NO_PLAN,
    BillingLine,
    Books,
    HourBalance,
    Placed,
    PresentTask,
    Stand,
    balance,
    stand_of,
)
from mappings.invoices.models import InvoicePlan
from mappings.invoices.period import Period
from mappings.invoices.plan import plan
from mappings.values.hours import seconds_to_hours

_TO_DO: Mapping[str, str] = {
    GONE: "replay the newest event of this work to record it anew, or untick Billable in Taiga",
    DELETED: "restore it in Invoice Ninja to bill it, or untick Billable in Taiga",
    NO_PLAN: "enter its time in Invoice Ninja again, or replay the newest event of this work",
}
_BEFORE_THE_WORK = timedelta(days=1)
"""Our own events about an item are dated before it: its newest event must stay the one that tells its state."""

_FAR = 9999
"""The year in which the period ends for which the next plan is asked: all that is unbilled belongs to it."""


async def hour_balance(world: InvoiceWorld, context: Context, closed_in: Period | None = None) -> HourBalance:
    """The balance as it is now, of work that was closed in a period when given; nothing is written.

    Raises:
        RemoteError: Invoice Ninja failed.
    """
    memory = await world.plans.hour_memory()
    ids = {entry.task_id for entry in memory.entries}
    today = context.clock().date()
    period = Period(today.replace(day=1), date(_FAR, 1, 1), context.mapping.billing_rules.timezone)
    tasks, lines = await asyncio.gather(_tasks(ids, world.books), _lines(ids, world.books))
    live = {task_id: line.invoice for task_id, of_task in lines.items() for line in of_task if not line.is_cancelled}
    work = await read_work(world, period, billed_by=live)
    made = plan(work, context.mapping)
    books = Books(lines, _billable(made), _left_out(made), memory.invoiced, memory.left)
    placed = [one for entry in memory.entries for one in stand_of(entry, tasks.get(entry.task_id), books)]
    if closed_in is None:
        return balance(memory.works, placed)
    works = [work for work in memory.works if closed_in.starts_at <= work.ended_at < closed_in.ends_at]
    subjects = {work.subject for work in works}
    return balance(works, [one for one in placed if one.subject in subjects])


async def ask_people(found: HourBalance, world: InvoiceWorld, context: Context) -> None:
    """Open a review for each entry that waits without one, and close those whose hours stand somewhere again.

    Work that does not add up is looked at once more: as a rule its hours are on an invoice that Invoice Ninja does not
    show at the task, such as one of a person that was deleted and restored.
    """
    await _look_at_mismatches(found, world, context)
    lost: set[str] = set()
    for one in found.waiting:
        if one.reason in _TO_DO or one.reason == NO_LINE:
            lost.add(one.subject)
            await ask_about_lost(one.subject, _lost(one), context.reviews)
    memory = await world.plans.hour_memory()
    for subject in memory.lost_subjects - lost:
        await context.reviews.close(subject, LOST, "its hours are billed or in a plan again")
    for invoice_id, client_id, name in _cancelled(found):
        await ask_about_cancelled(invoice_id, name, client_id, context.reviews)


async def _look_at_mismatches(found: HourBalance, world: InvoiceWorld, context: Context) -> None:
    billed = [one for off in found.mismatches for one in off.entries if one.stand is Stand.BILLED]
    await world.plans.remember_invoiced([_invoiced(one) for one in billed])
    day = context.clock().date().isoformat()
    events = [
        own_event(
            TASK_INVOICED,
            key=f"balance:{day}:{off.subject}",
            subject=off.subject,
            occurred_at=datetime.fromtimestamp(off.ended_at, UTC) - _BEFORE_THE_WORK,
            payload={"invoice_id": "", "invoice_number": "", "task_number": ""},
        )
        for off in found.mismatches
    ]
    if context.taiga is not None and events:
        await world.events.enqueue(events)


def _invoiced(one: Placed) -> Invoiced:
    state = {"invoice_number": one.invoice, "client_id": one.client_id, "hours": str(one.hours)}
    return Invoiced(one.subject, one.number, one.invoice_id, state)


def _lost(one: Placed) -> LostEntry:
    return LostEntry(one.number, one.hours, one.client_id, one.reason, _TO_DO.get(one.reason, ""))


def _cancelled(found: HourBalance) -> set[tuple[str, str, str]]:
    return {(one.invoice_id, one.client_id, one.invoice) for one in found.waiting if one.invoice_id}


def _billable(made: InvoicePlan) -> dict[str, Decimal]:
    entries = (entry for invoice in made.invoices for entry in invoice.entries)
    return {entry.task_id: seconds_to_hours(entry.seconds) for entry in entries}


def _left_out(made: InvoicePlan) -> dict[str, str]:
    return {task_id: one.reason for one in made.left_out for task_id in one.task_ids}


async def _tasks(ids: Collection[str], books: BillingBooks) -> Mapping[str, PresentTask]:
    return {
        task.id: PresentTask(
            task.id, task.client_id, task.invoice_id, seconds_to_hours(task.seconds), task.spans, task.is_deleted
        )
        for task in await books.all_tasks(ids)
    }


async def _lines(ids: Collection[str], books: BillingBooks) -> Mapping[str, list[BillingLine]]:
    lines: defaultdict[str, list[BillingLine]] = defaultdict(list)
    async for invoice in books.invoices():
        is_cancelled = invoice.status_id in NOT_OWED
        for line in invoice.lines:
            if line.task_id in ids:
                lines[line.task_id].append(BillingLine(invoice.id, invoice.name, line.quantity, is_cancelled))
    return lines
