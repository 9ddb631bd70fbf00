"""The invoices of one client are due: they exist, each task is billed by exactly one of them (docs/invoicing.md).

The subject of the events is the client, so only one worker at a time makes its invoices. What was begun is finished
first; then the unbilled work is read anew, and what the plan says is made of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from handlers.errors import Doubtful, NeedsPerson, Refused, Rejected, RetryLater, ServerError, Throttled, Unreachable
from handlers.event import Work
from handlers.invoices.conclude import conclude, look_at_items
from handlers.invoices.events import Due, read_due
from handlers.invoices.intents import (
    InvoiceIntent,
    doubt,
    doubted_intents,
    find_made,
    finish,
    finished_ids,
    forget,
    open_intents,
    remember,
    wait_if_young,
)
from handlers.invoices.invoice_linking import link_again
from handlers.invoices.late_requests import settle_doubts
from handlers.invoices.plan import world_of
from handlers.invoices.split import finish_splits, split
from handlers.invoices.unbilled import overlapping, read_work
from handlers.invoices.verify import check, is_marked, logs_of
from handlers.outcome import Ignored, Outcome, Processed
from handlers.ports.context import Context
from handlers.ports.invoice_world import InvoiceWorld
from handlers.recheck import is_recheck
from mappings.codes import Code
from mappings.invoiceninja.models import Invoice
from mappings.invoiceninja.tasks import Task
from mappings.invoices.difference import changes
from mappings.invoices.draft import draft_of
from mappings.invoices.identity import fingerprint
from mappings.invoices.models import PeriodWork, PlannedInvoice
from mappings.invoices.period import local_date
from mappings.invoices.plan import plan

_ROUNDS = 5
_SOON = 3
"""Seconds in which a worker is through with what just arrived."""


async def generate_invoice(work: Work, context: Context) -> Outcome:
    """Make the invoices that are due for one client: all periods that wait, the oldest first.

    Raises:
        NeedsPerson: the work is not as in the plan that a person approved.
        RetryLater: something changed at this moment, or an answer is still on its way.
        RemoteError: Invoice Ninja failed.
    """
    world = world_of(context)
    due_events = [event for event in work.due if not is_recheck(event)]
    dues = [read_due(event) for event in sorted(due_events, key=lambda event: event.id)]
    told = await settle_doubts(read_due(work.newest).client_id, world, context)
    if not dues:
        # What came meanwhile is left to the next run: a recheck only puts right what is there.
        told += await _Client(read_due(work.newest), world, context).look_again()
        if not told:
            return Ignored(Code.NOTHING_TO_RECHECK, "no invoice was made by a late request")
        return Processed(Code.LATE_REQUESTS_SETTLED, "; ".join(told))
    for due in sorted(dues, key=lambda due: due.period.ends_at):
        told += await _Client(due, world, context).bill()
    if not told:
        return Ignored(Code.NOTHING_TO_BILL, "nothing is unbilled")
    return Processed(Code.INVOICES_MADE, "; ".join(told))


@dataclass
class _Client:
    """The making of a client's invoices for one period."""

    due: Due
    world: InvoiceWorld
    context: Context
    _told: list[str] = field(default_factory=list)

    async def finish_begun(self) -> list[str]:
        """Finish what was begun; returns what was done."""
        await finish_splits(self.due.client_id, self.world.books, self.context)
        for intent in await open_intents(self.due.client_id, self.context):
            await self._resume(intent)
        return self._told

    async def look_again(self) -> list[str]:
        """Finish what was begun, and link what lost its links; returns what was done."""
        await self.finish_begun()
        await self._read()
        return self._told

    async def bill(self) -> list[str]:
        """Finish what was begun, then make what is planned; returns what was done."""
        await self.finish_begun()
        problems: list[str] = []
        for _round in range(_ROUNDS):
            read = await self._read()
            wanted, problems = await self._wanted(read)
            if not wanted:
                break
            if await self._make_all(wanted, read):
                break
        else:
            raise RetryLater(Code.CHANGED_MEANWHILE, "the work is changing while it is billed; retrying", 5)
        if problems:
            raise NeedsPerson(
                Code.WORK_DIFFERS_FROM_PLAN,
                f"the work for {self.due.period.name} is not as in plan {self.due.plan_id}: {'; '.join(problems)}",
                f"see `taiga-billing invoices plan --period {self.due.period.name}`, then apply the new plan",
            )
        return self._told

    async def _read(self) -> PeriodWork:
        """The unbilled work; invoices of ours whose links are missing are saved anew, which links their tasks."""
        read = await self._unbilled()
        if not read.billed_by:
            return read
        healed = False
        # Saving an invoice links no archived task.
        unlinked = [task for task in read.tasks if not task.is_archived]
        found = await overlapping(self.world.books, unlinked, self.due.period, self.due.client_id)
        # What came late just now may bill what another invoice bills, too: `settle_doubts` decides on it.
        late = {intent.mark for intent in await doubted_intents(self.due.client_id, self.context)}
        known = await finished_ids(self.due.client_id, self.context)
        for invoice in found:
            is_late = invoice.id not in known and not late.isdisjoint(invoice.custom_values.values())
            # Any PUT makes an invoice over 0 paid (docs/facts/invoice-ninja.md section 8).
            if is_marked(invoice) and invoice.amount and not is_late:
                # Locked, its tasks are left out of the plan, which says why.
                obstacle = await link_again(invoice, self.world.books)
                self._told.append(obstacle or f"invoice {invoice.name} is linked to its tasks again")
                healed = True
        return await self._unbilled() if healed else read

    async def _unbilled(self) -> PeriodWork:
        read = await read_work(self.world, self.due.period, self.due.client_id, for_people=False)
        if any(event.is_in_hand for event in read.unresolved):
            # Left out now, these hours would wait for the next run.
            raise RetryLater(Code.CHANGES_IN_PROGRESS, "changes in Taiga are being recorded; retrying", _SOON)
        return read

    async def _wanted(self, read: PeriodWork) -> tuple[Sequence[PlannedInvoice], list[str]]:
        """The invoices to make now, and what is not as in a plan that must be followed exactly."""
        fresh = plan(read, self.context.mapping, only={self.due.client_id}).invoices
        if not self.due.is_strict:
            return fresh, []
        present = {invoice.scope: invoice for invoice in fresh}
        wanted: list[PlannedInvoice] = []
        problems: list[str] = []
        for planned in await self.world.plans.planned(self.due.plan_id, self.due.client_id):
            now = present.get(planned.invoice.scope)
            if now is not None and fingerprint(now) == fingerprint(planned.invoice):
                wanted.append(now)
            elif not planned.invoice_id:
                problems += changes(planned.invoice, now)
        return wanted, problems

    async def _make_all(self, wanted: Sequence[PlannedInvoice], read: PeriodWork) -> bool:
        """Make them; False when something changed and must be looked at again first."""
        tasks = {task.id: task for task in read.tasks}
        to_split = [entry for invoice in wanted for entry in invoice.entries if entry.split_at]
        for entry in to_split:
            await split(entry, tasks[entry.task_id], self.world.books, self.context)
        if to_split:
            return False
        for invoice in wanted:
            if not await self._is_unchanged(invoice, tasks):
                return False
            await self._make(invoice, tasks)
        return True

    async def _is_unchanged(self, invoice: PlannedInvoice, tasks: dict[str, Task]) -> bool:
        """Read every task once more, right before the request: nothing in Invoice Ninja prevents billing it twice."""
        present = {task.id: task for task in await self.world.books.unbilled_tasks(self.due.client_id)}
        return all(present.get(entry.task_id) == tasks[entry.task_id] for entry in invoice.entries)

    async def _make(self, planned: PlannedInvoice, tasks: dict[str, Task]) -> None:
        now = self.context.clock()
        logs = logs_of({entry.task_id: tasks[entry.task_id] for entry in planned.entries})
        intent = InvoiceIntent(self.due, planned, now, logs)
        today = local_date(int(now.timestamp()), self.due.period.timezone)
        await remember(intent, self.context)
        try:
            invoice = await self.world.books.create_invoice(draft_of(planned, self.due.period, today))
        except (Rejected, Unreachable, Throttled, Refused):
            await forget(intent, self.context)
            raise
        except (Doubtful, ServerError):
            found = await find_made(intent, self.world.books)
            if found is None:
                raise
            invoice = found
        await self._conclude(intent, invoice)

    async def _resume(self, intent: InvoiceIntent) -> None:
        found = await find_made(intent, self.world.books)
        if found is None:
            wait_if_young(intent, self.context.clock())
            await doubt(intent, self.context)
        else:
            await self._conclude(intent, found)

    async def _conclude(self, intent: InvoiceIntent, invoice: Invoice) -> None:
        checked = await check(self.world.books, invoice, intent.planned, intent.logs, intent.due.period)
        if checked.invoice is None:
            self._told.append(f"invoice {invoice.name} was deleted again: {'; '.join(checked.notes)}")
            await look_at_items(intent, invoice, self.world, self.context)
            await forget(intent, self.context)
        else:
            self._told.append(await conclude(intent, checked, checked.invoice, self.world, self.context))
            await finish(intent, checked.invoice, self.context)
        if any(is_marked(rival) for rival in checked.rivals):
            raise RetryLater(
                Code.INVOICE_RIVAL, f"{self._told[-1]}; the other invoice is one of ours; checking it", _SOON
            )
