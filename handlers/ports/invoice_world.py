"""What making invoices needs beyond `handlers.ports.context`: declared here, provided by `middleware.bootstrap`."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from handlers.ports.events import EventSink
from mappings.invoiceninja.models import (
    Company,
    CustomField,
    Invoice,
    InvoiceDraft,
    InvoiceLine,
    NinjaClient,
    Project,
    Statics,
)
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.invoices.balance import ClosedWork, RecordedEntry
from mappings.invoices.models import CreditProposal, InvoicePlan, PlannedInvoice, TimeLink, Unresolved
from mappings.time.entry import NUMBER_PREFIX


class BillingReader(Protocol):
    """Reads what the making of invoices needs of Invoice Ninja."""

    async def unbilled_tasks(self, client_id: str = "") -> list[Task]:
        """All tasks that no invoice bills, archived ones included; of a client when given."""
        ...

    async def logged_tasks(self, client_id: str, task_ids: Collection[str], since: int) -> dict[str, Task]:
        """These tasks as they are now, deleted ones included; those that are purged are missing.

        `since` (unix seconds) lies before they were invoiced.
        """
        ...

    async def client_groups(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of the groups of clients by id; {} for a group that decides nothing any more."""
        ...

    async def client_list(self) -> list[NinjaClient]:
        """All clients that are not deleted."""
        ...

    async def client(self, client_id: str) -> NinjaClient:
        """The client by id, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        ...

    async def project_list(self, client_id: str = "") -> list[Project]:
        """All projects that are not deleted, of a client when given."""
        ...

    async def people(self) -> Mapping[str, str]:
        """The names of Invoice Ninja's users by id."""
        ...

    async def company(self) -> Company:
        """The settings of the company."""
        ...

    async def statics(self) -> Statics:
        """Invoice Ninja's own tables."""
        ...

    def invoices_since(self, day: date, client_id: str = "") -> AsyncIterator[Invoice]:
        """The invoices that are not deleted, dated on this day or later; of a client when given."""
        ...

    async def invoice(self, invoice_id: str) -> Invoice:
        """The invoice by id, deleted ones included."""
        ...

    async def find_invoice(self, number: str) -> Invoice | None:
        """The invoice with exactly this number; a deleted one has lost it."""
        ...

    async def marked_invoices(self, field: CustomField, mark: str) -> list[Invoice]:
        """All invoices that carry exactly this mark, deleted ones included."""
        ...

    async def all_tasks(self, task_ids: Collection[str]) -> list[Task]:
        """Those of these tasks that are there, in whatever state; read as one long list."""
        ...

    def invoices(self) -> AsyncIterator[Invoice]:
        """All invoices that are not deleted."""
        ...

    async def find_task(self, number: str) -> Task | None:
        """The task with exactly this number, deleted ones included."""
        ...


class BillingWriter(Protocol):
    """Changes Invoice Ninja's invoices and their tasks."""

    async def create_invoice(self, draft: InvoiceDraft) -> Invoice:
        """Make a draft.

        Raises:
            Rejected: it is refused.
        """
        ...

    async def update_invoice(
        self, invoice_id: str, changes: Mapping[str, Any], *, lines: Sequence[InvoiceLine] | None = None
    ) -> Invoice:
        """Change some fields, and all lines when given; links the tasks of its lines anew."""
        ...

    async def delete_invoice(self, invoice_id: str) -> None:
        """Delete it: its tasks are free again."""
        ...

    async def email_invoices(self, invoice_ids: Collection[str]) -> list[Invoice]:
        """E-mail them with one request, and their state afterwards."""
        ...

    async def create_rest(self, task: Task, number: str, log: Sequence[LogEntry]) -> Task:
        """Make a task like this one, under another number and with this part of its log.

        Raises:
            Rejected: `names("number")` when the number is taken.
        """
        ...

    async def free_task(self, task: Task, log: Sequence[LogEntry]) -> Task:
        """Unlink the task from its invoice, and send this log with it.

        Raises:
            Rejected: tasks on invoices are locked.
        """
        ...

    async def replace_log(self, task: Task, log: Sequence[LogEntry]) -> Task:
        """Give the task this log instead of its own; everything else stays."""
        ...


class BillingBooks(BillingReader, BillingWriter, Protocol):
    """Invoice Ninja as the making of invoices sees it."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A planned invoice of a stored plan, and the one that was made of it ("" while there is none)."""

    invoice: PlannedInvoice
    invoice_id: str = ""
    invoice_number: str = ""


@dataclass(frozen=True, slots=True)
class Invoiced:
    """That a task is billed by an invoice: remembered as a link of kind `invoiced` under the task's subject."""

    subject: str
    task_number: str
    invoice_id: str
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HourMemory:
    """One side of the balance of hours: closed work, entries, the hours that our invoices bill, what people decided.

    `invoiced` is by (number of the entry, invoice id), `left` the ids of cancelled invoices whose hours stay unbilled;
    `lost_subjects` have an open review about lost hours.
    """

    works: Sequence[ClosedWork]
    entries: Sequence[RecordedEntry]
    invoiced: Mapping[tuple[str, str], Decimal]
    left: frozenset[str] = frozenset()
    lost_subjects: frozenset[str] = frozenset()


class PlanReader(Protocol):
    """Reads stored plans, and what the store knows of tasks and events."""

    async def find(self, plan_id: str) -> InvoicePlan | None:
        """The stored plan."""
        ...

    async def planned(self, plan_id: str, client_id: str = "") -> Sequence[Planned]:
        """The invoices of a stored plan, of a client when given."""
        ...

    async def time_links(self, task_ids: Collection[str]) -> Mapping[str, TimeLink]:
        """What is remembered of tasks that the bridge made, by task id."""
        ...

    async def unresolved(self, subjects: Collection[str] | None = None) -> Sequence[Unresolved]:
        """The Taiga events that are neither done nor overtaken by one that is; of these subjects, when given."""
        ...

    async def credit_proposals(self) -> Sequence[CreditProposal]:
        """The credits that wait for a person."""
        ...

    async def hour_memory(self) -> HourMemory:
        """What is remembered of all hours."""
        ...


class PlanWriter(Protocol):
    """Changes stored plans and what is remembered of tasks."""

    async def save(self, plan: InvoicePlan) -> None:
        """Keep the plan; one with the same id is the same plan."""
        ...

    async def made(self, plan_id: str, planned: PlannedInvoice, invoice: Invoice, note: str) -> None:
        """Remember the invoice that was made of a planned one."""
        ...

    async def numbered(self, invoice_id: str, number: str) -> None:
        """Write the number that an invoice got when it was sent to where it was remembered without one."""
        ...

    async def remember_invoiced(self, invoiced: Sequence[Invoiced]) -> None:
        """Write the links from tasks to the invoice."""
        ...


class Plans(PlanReader, PlanWriter, Protocol):
    """Stored plans, and what the store knows of tasks and events."""


@dataclass(frozen=True, slots=True)
class InvoiceWorld:
    """Everything that the making of invoices may use."""

    books: BillingBooks
    plans: Plans
    events: EventSink
    number_prefix: str = NUMBER_PREFIX


def client_subject(client_id: str) -> str:
    """The subject under whose lock the invoices of a client are made."""
    return f"invoice:{client_id}"
