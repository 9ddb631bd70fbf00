"""After an invoice was made: does it bill exactly the tasks that are linked to it, with the time that they have?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from handlers.errors import Rejected
from handlers.invoices.invoice_linking import link_again
from handlers.invoices.texts import put_texts
from handlers.invoices.unbilled import overlapping
from handlers.ports.invoice_world import BillingBooks
from mappings.invoiceninja.models import Invoice
from mappings.invoiceninja.tasks import Task
from mappings.invoices.draft import invoice_lines
from mappings.invoices.identity import MARK_PREFIX
from mappings.invoices.lines import lines_of
from mappings.invoices.models import Entry, PlannedInvoice
from mappings.invoices.period import Period
from mappings.invoices.totals import sums

Logs = Mapping[str, tuple[tuple[int, int], ...]]
"""When tasks were worked on, by task id: begin and end of each stretch in unix seconds."""

_ROUNDS = 3
_CLOCK_MARGIN = 5
"""Seconds: the stamp of the invoice and those of its tasks need not be of the same second."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An invoice after it was checked. `invoice` is None when nothing was left to bill.

    `planned` is what it bills now, `notes` what was put right, `flags` what a person must look at. `rivals` are other
    live invoices to which it left hours.
    """

    invoice: Invoice | None
    planned: PlannedInvoice
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    rivals: tuple[Invoice, ...] = ()


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is wrong, as sentences, the entries that the invoice should bill, and the tasks and rivals as they are."""

    wrong: tuple[str, ...]
    entries: tuple[Entry, ...]
    present: Logs
    rivals: tuple[Invoice, ...]


async def check(books: BillingBooks, invoice: Invoice, planned: PlannedInvoice, read: Logs, period: Period) -> Checked:
    """Compare the invoice with its tasks, and put right what differs: never two invoices for the same hours.

    Args:
        books: Invoice Ninja.
        invoice: as the server answered it.
        planned: what it should bill.
        read: the logs of its tasks as they were when it was planned.
        period: what is billed, for the texts of groups.
    """
    invoice, flag = await put_texts(invoice, planned.terms, books)
    checked, rivals = Checked(invoice, planned), dict[str, Invoice]()
    for _round in range(_ROUNDS):
        found = await _look(books, invoice, checked.planned, read, period)
        obstacles = await _link_again([rival for rival in found.rivals if rival.id not in rivals], books)
        rivals |= {rival.id: rival for rival in found.rivals}
        if not found.wrong:
            flags = (*([flag] if flag else ()), *_sums_differ(invoice, checked.planned))
            checked = replace(checked, flags=flags)
            break
        news = (sentence for sentence in (*found.wrong, *obstacles) if sentence not in checked.notes)
        notes = (*checked.notes, *news)
        checked = await _corrected(books, invoice, replace(checked, notes=notes), found.entries, period)
        if checked.invoice is None or checked.flags:
            break
        invoice, read = checked.invoice, found.present
    else:
        flags = (f"after {_ROUNDS} corrections its tasks are still not as it bills them", *checked.notes)
        checked = replace(checked, flags=flags)
    return replace(checked, rivals=tuple(rivals.values()))


async def _link_again(rivals: Iterable[Invoice], books: BillingBooks) -> list[str]:
    """Give them their tasks back before ours lets go of them, so that they are free at no time; returns obstacles."""
    obstacles = [await link_again(rival, books) for rival in rivals]
    return [obstacle for obstacle in obstacles if obstacle]


async def _corrected(
    books: BillingBooks, invoice: Invoice, checked: Checked, entries: tuple[Entry, ...], period: Period
) -> Checked:
    """The invoice, billing these entries only."""
    if not entries:
        await books.delete_invoice(invoice.id)
        return replace(checked, invoice=None)
    planned = _with_entries(checked.planned, entries, period)
    try:
        corrected = await books.update_invoice(invoice.id, {}, lines=invoice_lines(planned.lines))
    except Rejected as error:
        if (await books.invoice(invoice.id)).is_deleted:
            return replace(checked, invoice=None, notes=(*checked.notes, "a person deleted it"))
        # Locked invoices (lock_invoices) cannot be put right by us.
        flags = (*checked.notes, f"it could not be corrected: {error.message}")
        return replace(checked, planned=planned, flags=flags)
    return replace(checked, invoice=corrected, planned=planned)


def is_marked(invoice: Invoice) -> bool:
    """Whether it carries a mark of ours."""
    return any(value.startswith(MARK_PREFIX) for value in invoice.custom_values.values())


async def _look(
    books: BillingBooks, invoice: Invoice, planned: PlannedInvoice, read: Logs, period: Period
) -> _Findings:
    ids = [entry.task_id for entry in planned.entries]
    present = await books.logged_tasks(planned.client_id, ids, invoice.created_at - _CLOCK_MARGIN)
    # The last invoice has the link of a task (docs/facts/invoice-ninja.md section 7): one made just before is not seen.
    found = await overlapping(books, list(present.values()), period, planned.client_id)
    rivals = tuple(rival for rival in found if rival.id != invoice.id)
    otherwise = _billed_otherwise(invoice, planned)
    elsewhere = {task_id for rival in rivals for task_id in rival.task_ids}
    wrong: list[str] = []
    entries: list[Entry] = []
    for entry in planned.entries:
        task, before = present.get(entry.task_id), read.get(entry.task_id)
        if task is None or task.is_deleted:
            wrong.append(f"{entry.number} was deleted just now: taken out")
        elif task.is_archived and not task.invoice_id:
            wrong.append(f"{entry.number} was archived just now: taken out")
        elif task.id in elsewhere or task.invoice_id not in {"", invoice.id}:
            wrong.append(f"{entry.number} went onto another invoice just now: taken out")
        elif before is not None and task.spans != before:
            wrong.append(f"{entry.number} was changed just now: billed as it is now")
            entries.append(replace(entry, seconds=task.seconds))
        else:
            if not task.invoice_id:
                wrong.append(f"{entry.number} was not linked: linked again")
            elif entry.task_id in otherwise:
                wrong.append(f"{entry.number} differed on it: billed as it is now")
            entries.append(entry)
    return _Findings(tuple(wrong), tuple(entries), logs_of(present), rivals)


def _billed_otherwise(invoice: Invoice, planned: PlannedInvoice) -> frozenset[str]:
    """The tasks that other lines than planned bill: it was asked for with other hours before, and that came late."""
    if invoice.amount == planned.totals.total:
        return frozenset()
    present = {(line.task_id, line.quantity, line.cost) for line in invoice.lines}
    return frozenset(line.task_id for line in planned.lines if (line.task_id, line.quantity, line.cost) not in present)


def logs_of(tasks: Mapping[str, Task]) -> Logs:
    """When these tasks were worked on."""
    return {task_id: task.spans for task_id, task in tasks.items()}


def _with_entries(planned: PlannedInvoice, entries: tuple[Entry, ...], period: Period) -> PlannedInvoice:
    lines = lines_of(entries, planned.terms.group_by, period)
    return replace(planned, entries=entries, lines=lines, totals=sums(lines, planned.terms, planned.precision))


def _sums_differ(invoice: Invoice, planned: PlannedInvoice) -> tuple[str, ...]:
    taxes = {line.task_id: set(line.taxes) for line in invoice.lines}
    wrong = [line for line in planned.lines if taxes.get(line.task_id, set()) != set(line.taxes)]
    flags = [f"{len(wrong)} of its lines have other taxes than planned"] if wrong else []
    if invoice.amount != planned.totals.total:
        flags.append(f"Invoice Ninja's total is {invoice.amount} {planned.currency}, ours is {planned.totals.total}")
    return tuple(flags)
