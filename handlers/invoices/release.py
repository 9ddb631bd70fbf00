"""A person decides about hours that are called invoiced and that no live line bills: bill them again, or leave them.

To bill them again, their tasks are unlinked from the invoice, which itself is never written: any PUT of a cancelled
invoice makes it paid (docs/facts/invoice-ninja-2.md section 4). Doing it again after a failure does what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from handlers.errors import NotFound, Rejected
from handlers.event import NewEvent, own_event
from handlers.invoices.events import TASK_INVOICED
from handlers.invoices.plan import world_of
from handlers.ports.context import Context
from handlers.ports.invoice_world import BillingBooks, InvoiceWorld
from handlers.time.adoption import KIND as TIME_ENTRY
from handlers.time.cancelled import CANCELLED, LOST, Decision, cancelled_subject, remember_decision
from mappings.invoiceninja.models import NOT_OWED, Invoice
from mappings.invoiceninja.settings import Rounding, effective_settings
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.invoices.splitting import kept_log
from mappings.values.hours import seconds_to_hours

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Released:
    """What came of a decision: what was done, and why some of it was not."""

    done: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


async def decide(reference: str, decision: Decision, context: Context) -> Released:
    """Carry out what a person decided about a cancelled invoice, or about an entry that its invoice lost.

    Args:
        reference: number or id of the invoice, or number of the entry (`TAIGA-T12`).
        decision: bill the hours again, or leave them.
        context: the world.

    Raises:
        NeedsPerson: Invoice Ninja is not configured.
        RemoteError: Invoice Ninja failed; asking again does the rest.
    """
    release = _Release(world_of(context), context)
    invoice = await _find_invoice(reference, release.world.books)
    if invoice is not None:
        return await release.of_invoice(invoice, decision)
    task = await release.world.books.find_task(reference)
    if task is None or task.is_deleted:
        return Released(problems=(f"Invoice Ninja has no invoice and no task {reference}",))
    return await release.of_task(task, decision)


@dataclass
class _Release:
    world: InvoiceWorld
    context: Context

    async def of_invoice(self, invoice: Invoice, decision: Decision) -> Released:
        if invoice.is_deleted or invoice.status_id not in NOT_OWED:
            return Released(problems=(f"invoice {invoice.name} is not cancelled: cancel it in Invoice Ninja first",))
        released = Released((f"the hours of invoice {invoice.name} stay unbilled",))
        if decision == "bill_again":
            now = int(self.context.clock().timestamp())
            tasks = await self.world.books.logged_tasks(invoice.client_id, invoice.task_ids, now)
            linked = [task for task in tasks.values() if task.invoice_id == invoice.id]
            released = await self._free(linked, f"invoice {invoice.name}")
        if not released.problems:
            await remember_decision(invoice.id, invoice.name, invoice.client_id, decision, self.context.links)
            subject = cancelled_subject(invoice.id, invoice.client_id)
            await self.context.reviews.close(subject, CANCELLED, f"decided: {decision.replace('_', ' ')}")
        return released

    async def of_task(self, task: Task, decision: Decision) -> Released:
        if decision == "leave":
            return Released(problems=("an entry cannot be left: untick Billable in Taiga, or free it with bill-again",))
        if not task.invoice_id:
            return Released(problems=(f"{task.number} is on no invoice",))
        invoice = await _invoice(task.invoice_id, self.world.books)
        is_billed = invoice is not None and not invoice.is_deleted and task.id in invoice.task_ids
        if invoice is not None and is_billed and invoice.status_id not in NOT_OWED:
            return Released(problems=(f"{task.number} is billed by invoice {invoice.name}",))
        return await self._free([task], "the invoice that is gone")

    async def _free(self, tasks: Sequence[Task], where: str) -> Released:
        links = await self.world.plans.time_links([task.id for task in tasks])
        done: list[str] = []
        problems: list[str] = []
        events: list[NewEvent] = []
        for task in tasks:
            subject = links[task.id].subject if task.id in links else ""
            problem = await self._free_one(task, subject)
            if problem:
                problems.append(problem)
                continue
            done.append(f"{task.number} ({seconds_to_hours(task.seconds)} h) is free again")
            if subject:
                await self.context.reviews.close(subject, LOST, "it is free again")
                events.append(_look_again(task, subject, self.context.clock()))
        if self.context.taiga is not None:
            await self.world.events.enqueue(events)
        if not tasks:
            done.append(f"nothing is linked to {where} any more")
        return Released(tuple(done), tuple(problems))

    async def _free_one(self, task: Task, subject: str) -> str:
        log = await self._log_to_send(task, subject)
        try:
            freed = await self.world.books.free_task(task, log)
        except Rejected as error:
            return (
                f"{task.number} stays linked: {error.message}. Switch off invoice_task_lock in Invoice Ninja for a"
                " moment, or delete the cancelled invoice, which frees its tasks"
            )
        if freed.invoice_id:
            return f"{task.number} stays linked to its invoice, though Invoice Ninja refused nothing"
        return "" if freed.spans == task.spans else f"{task.number} is free, but shows other times than before"

    async def _log_to_send(self, task: Task, subject: str) -> tuple[LogEntry, ...]:
        """The log with the times that we sent, or that round to those it shows: read ones would be rounded again."""
        stored = [list(span) for span in task.spans]
        for link in await self.context.links.of_subject(subject) if subject else ():
            sent = link.state.get("sent") or {}
            if link.kind == TIME_ENTRY and link.number == task.number and link.state["stored"]["time_log"] == stored:
                return (replace(task.log[0], started_at=sent["started_at"], ended_at=sent["ended_at"]),)
        return kept_log(task.log, await self._rounding(task.client_id))

    async def _rounding(self, client_id: str) -> Rounding:
        books = self.world.books
        client = await books.client(client_id)
        groups = await books.client_groups() if client.group_id else {}
        return effective_settings(client, await books.company(), groups).rounding


def _look_again(task: Task, subject: str, now: datetime) -> NewEvent:
    """Lets `record_time` write the status back; dated before the work, as all our events about items are."""
    return own_event(
        TASK_INVOICED,
        key=f"released:{task.invoice_id}:{task.number}:{int(now.timestamp())}",
        subject=subject,
        occurred_at=datetime.fromtimestamp(task.started_at, UTC) - _DAY,
        payload={"invoice_id": task.invoice_id, "invoice_number": "", "task_number": task.number},
    )


async def _find_invoice(reference: str, books: BillingBooks) -> Invoice | None:
    return await books.find_invoice(reference) or await _invoice(reference, books)


async def _invoice(invoice_id: str, books: BillingBooks) -> Invoice | None:
    try:
        return await books.invoice(invoice_id)
    except NotFound:
        return None
