"""After an invoice was made: does it bill exactly the tasks that are linked to it, with the time that they have?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from handlers.errors import Rejected
from handlers.invoice_world import BillingBooks
from mappings.invoicing.draft import invoice_lines
from mappings.invoicing.grouping import lines_of
from mappings.invoicing.identity import MARK_PREFIX
from mappings.invoicing.period import Period
from mappings.invoicing.records import Entry, LoggedTask, PlannedInvoice
from mappings.invoicing.totals import sums
from mappings.ninja import Invoice

_ROUNDS = 3
_CLOCK_MARGIN = 5
"""Seconds: the stamp of the invoice and those of its tasks need not be of the same second."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An invoice after it was checked. `invoice` is None when nothing was left to bill.

    `planned` is what it bills now, `notes` what was put right, `flags` what a person must look at.
    """

    invoice: Invoice | None
    planned: PlannedInvoice
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is wrong, as sentences, the entries that the invoice should bill, and the tasks as they are."""

    wrong: tuple[str, ...]
    entries: tuple[Entry, ...]
    present: Mapping[str, LoggedTask]


async def check(
    books: BillingBooks, invoice: Invoice, planned: PlannedInvoice, read: Mapping[str, LoggedTask], period: Period
) -> Checked:
    """Compare the invoice with its tasks, and put right what differs: never two invoices for the same hours.

    Args:
        books: Invoice Ninja.
        invoice: as the server answered it.
        planned: what it should bill.
        read: its tasks as they were when it was planned; empty when they are not known any more.
        period: what is billed, for the texts of groups.
    """
    notes: list[str] = []
    for _round in range(_ROUNDS):
        found = await _look(books, invoice, planned, read)
        if not found.wrong:
            return Checked(invoice, planned, tuple(notes), _sums_differ(invoice, planned))
        notes += [sentence for sentence in found.wrong if sentence not in notes]
        if not found.entries:
            await books.delete_invoice(invoice.id)
            return Checked(None, planned, tuple(notes))
        planned = _with_entries(planned, found.entries, period)
        try:
            invoice = await books.update_invoice(invoice.id, {}, lines=invoice_lines(planned.lines))
        except Rejected as error:
            # Locked invoices (lock_invoices) cannot be put right by us.
            return Checked(invoice, planned, tuple(notes), (*notes, f"it could not be corrected: {error.message}"))
        read = found.present
    flags = (f"after {_ROUNDS} corrections its tasks are still not as it bills them", *notes)
    return Checked(invoice, planned, tuple(notes), flags)


def is_marked(invoice: Invoice) -> bool:
    """Whether it carries a mark of ours."""
    return any(value.startswith(MARK_PREFIX) for value in invoice.custom_values.values())


async def _look(
    books: BillingBooks, invoice: Invoice, planned: PlannedInvoice, read: Mapping[str, LoggedTask]
) -> _Findings:
    ids = [entry.task_id for entry in planned.entries]
    present = await books.logged_tasks(planned.client_id, ids, invoice.created_at - _CLOCK_MARGIN)
    wrong: list[str] = []
    entries: list[Entry] = []
    for entry in planned.entries:
        task, before = present.get(entry.task_id), read.get(entry.task_id)
        if task is None or task.is_deleted:
            wrong.append(f"{entry.number} was deleted at this moment: taken out")
        elif task.invoice_id not in {"", invoice.id}:
            wrong.append(f"{entry.number} went onto another invoice at this moment: taken out")
        elif before is not None and task.spans != before.spans:
            wrong.append(f"{entry.number} was changed at this moment: billed as it is now")
            entries.append(replace(entry, seconds=task.seconds))
        else:
            if not task.invoice_id:
                wrong.append(f"{entry.number} was not linked: linked again")
            entries.append(entry)
    return _Findings(tuple(wrong), tuple(entries), present)


def _with_entries(planned: PlannedInvoice, entries: tuple[Entry, ...], period: Period) -> PlannedInvoice:
    lines = lines_of(entries, planned.terms.group_by, period)
    return replace(planned, entries=entries, lines=lines, totals=sums(lines, planned.terms, planned.precision))


def _sums_differ(invoice: Invoice, planned: PlannedInvoice) -> tuple[str, ...]:
    if invoice.amount == planned.totals.total:
        return ()
    return (f"Invoice Ninja adds up {invoice.amount} {planned.currency}, we {planned.totals.total}",)
