"""The records that flow through the pipe; frozen, without behaviour beyond what their fields say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from mappings.codes import Code

WorkKind = Literal["task", "userstory", "issue"]
RateKind = Literal["task", "user", "project", "client", "general", ""]
"""Which setting a rate is from; "" when an older version recorded it without saying so."""


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A Taiga task, user story or issue as it is now (or as one webhook described it).

    `attributes` are the custom attribute values by display name; None when Taiga did not tell them (a delete event).
    `changed_at` and `finished_at` are aware UTC; a closed item may have no `finished_at`
    (docs/facts/taiga.md section 3.3). `assignee` is the user name, which its owner may change, `assignee_id` never
    changes.
    """

    kind: WorkKind
    id: int
    ref: int
    subject: str
    permalink: str
    project_id: int
    project_name: str
    is_closed: bool
    changed_at: datetime
    finished_at: datetime | None = None
    assignee: str | None = None
    assignee_id: int | None = None
    attributes: Mapping[str, Any] | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class TimeEntry:
    """What Invoice Ninja should hold for one piece of work.

    `number` is the exactly-once key. `started_at` and `ended_at` are unix seconds; their difference is the billed time.
    `raw_hours` is what the person typed, `hours` what is billed after rounding. `rate` is money per hour, never 0.
    `client_ref` is an Invoice Ninja client id, or, when a person typed it into Taiga, a client number or id number;
    `own_client` is what was typed, "" when the project's client pays. `rate_kind` says why the rate is what it is.
    """

    number: str
    description: str
    client_ref: str
    project_id: str
    rate: Decimal
    raw_hours: Decimal
    hours: Decimal
    started_at: int
    ended_at: int
    rate_kind: RateKind = ""
    own_client: str = ""


@dataclass(frozen=True, slots=True)
class NotBillable:
    """Why a piece of work calls for no time entry."""

    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class NinjaTask:
    """A task as Invoice Ninja answers it (docs/facts/invoice-ninja.md section 6). Times are unix seconds."""

    id: str
    number: str
    client_id: str
    project_id: str
    description: str
    rate: Decimal
    time_log: tuple[tuple[int, int], ...]
    invoice_id: str = ""
    is_deleted: bool = False
    is_archived: bool = False
    updated_at: int = 0

    @property
    def is_invoiced(self) -> bool:
        """Whether an invoice bills this task: from then on its time is locked for us."""
        return self.invoice_id != ""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person of a client. Only one with `gets_mail` and an address is e-mailed."""

    id: str
    email: str
    gets_mail: bool = True


@dataclass(frozen=True, slots=True)
class NinjaClient:
    """An Invoice Ninja client; `currency_id` is "" when its group's or the company's currency applies.

    `settings` are its own, of the keys in `mappings.invoiceninja.settings.SETTINGS`; `group_id` is "" without a group.
    """

    id: str
    number: str
    name: str
    id_number: str = ""
    currency_id: str = ""
    is_deleted: bool = False
    group_id: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class AttributeDefinition:
    """A custom attribute of a Taiga project: values are keyed by `id` in REST and by `name` in webhooks."""

    id: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class AttributeValues:
    """The custom attribute values of one Taiga item, keyed by attribute id, with the version a PATCH must name."""

    version: int
    values: Mapping[str, Any] = field(default_factory=dict)
