"""What goes into a plan and what comes out of it; frozen. Times are unix seconds, money is in the client's currency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from mappings.invoiceninja.models import Company, CustomField, NinjaClient, Project, Statics, Tax
from mappings.invoiceninja.settings import EffectiveSettings, effective_settings
from mappings.invoiceninja.tasks import Task
from mappings.invoices.period import Period


@dataclass(frozen=True, slots=True)
class TimeLink:
    """What we remember of a task that we made: the hours we sent, and what the server stored then.

    `divided_at` is the border (unix seconds) at which it was divided last, 0 when it is whole.
    """

    subject: str
    sent_hours: Decimal | None = None
    raw_hours: Decimal | None = None
    stored_log: tuple[tuple[int, int], ...] = ()
    person: str = ""
    taiga_project_id: int | None = None
    divided_at: int = 0


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A Taiga event that is not done: its hours may be missing, or another number than Invoice Ninja holds.

    `is_in_hand`: it came a moment ago and will be done in another; waiting for it is worth it.
    """

    event_id: int
    subject: str
    status: str
    name: str
    reason: str
    hint: str
    taiga_project_id: int | None
    is_in_hand: bool = False


@dataclass(frozen=True, slots=True)
class CreditProposal:
    """Hours that a person decides about: billed too much (a credit), on a cancelled invoice, or lost.

    `kind` is that of the review.
    """

    subject: str
    summary: str
    client_id: str
    kind: str = "credit_proposal"


@dataclass(frozen=True, slots=True)
class PeriodWork:
    """Everything that a plan looks at. `billed_by` names the live invoice whose lines bill an unlinked task.

    `groups` are the settings of client groups by id. Numbers that begin with `number_prefix` are of entries of ours.
    """

    period: Period
    tasks: Sequence[Task]
    clients: Mapping[str, NinjaClient]
    projects: Mapping[str, Project]
    company: Company
    statics: Statics
    people: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, TimeLink] = field(default_factory=dict)
    unresolved: Sequence[Unresolved] = ()
    credits: Sequence[CreditProposal] = ()
    billed_by: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    knows_all_clients: bool = False
    number_prefix: str = "TAIGA-"

    def settings(self, client_id: str) -> EffectiveSettings:
        """What Invoice Ninja's settings are for a client; those of the company for one that is not known."""
        return effective_settings(self.clients.get(client_id), self.company, self.groups)


@dataclass(frozen=True, slots=True)
class Entry:
    """One task's time as it is billed. `split_at` is the border at which the task must be divided first, 0 for none.

    Without `has_clock_times` the times of the log are made up: the work was closed on `day`, which is `first_day` too.
    """

    task_id: str
    number: str
    client_id: str
    project_id: str
    project: str
    description: str
    person: str
    first_day: date
    day: date
    seconds: int
    rate: Decimal
    taxes: tuple[Tax, ...]
    product_key: str
    raw_hours: Decimal | None = None
    subject: str = ""
    split_at: int = 0
    has_clock_times: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an invoice. The lines of a group after its first carry no quantity: they only bill their task."""

    task_id: str
    notes: str
    quantity: Decimal
    cost: Decimal
    taxes: tuple[Tax, ...] = ()
    product_key: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums as Invoice Ninja computes them; `taxes` by name and rate."""

    subtotal: Decimal
    discount: Decimal
    taxes: tuple[tuple[Tax, Decimal], ...]
    total_taxes: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Terms:
    """How an invoice is made; from the rules of its client or project."""

    payment_terms: str
    invoice_date: str
    timezone: str
    mark_field: CustomField
    group_by: str = "task"
    inclusive_taxes: bool = False
    discount: Decimal = Decimal(0)
    is_amount_discount: bool = False
    notes: str = ""
    auto_send: bool = False
    auto_bill: bool = False
    terms: str = ""
    footer: str = ""
    rounds_to_rappen: bool = False


@dataclass(frozen=True, slots=True)
class PlannedInvoice:
    """One invoice to be made. `scope` is "" for a whole client, else names the project; `currency` is an ISO code."""

    client_id: str
    client_name: str
    scope: str
    project_id: str
    currency: str
    precision: int
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    totals: Totals
    terms: Terms
    approval: str

    @property
    def seconds(self) -> int:
        """The time it bills."""
        return sum(entry.seconds for entry in self.entries)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Time that is not billed now, and why. `what` names the task or event; `seconds` may be 0 when not known.

    `task_ids` are those whose time it is, none for people's own tasks that no rule asks for.
    """

    client_id: str
    client_name: str
    what: str
    seconds: int
    reason: str
    hint: str = ""
    task_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InvoicePlan:
    """What a run would do. `id` is a hash of the invoices' content: equal plans have equal ids."""

    id: str
    period: Period
    invoices: tuple[PlannedInvoice, ...]
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
