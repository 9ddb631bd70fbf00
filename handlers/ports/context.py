"""What handlers need from the world, declared by them; `middleware.bootstrap` provides it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from handlers.ports.billing import EventHistory, PaymentWorld
from handlers.ports.events import EventSink
from handlers.ports.invoice_world import InvoiceWorld
from handlers.ports.payment_links import LinkWorld
from mappings.config.file import MappingFile
from mappings.invoiceninja.tasks import Task
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkItem, WorkKind
from mappings.time.entry import NUMBER_PREFIX
from mappings.time.models import TimeEntry


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Now, aware UTC."""
        ...


class TaigaWork(Protocol):
    """Taiga as handlers see it; absent (None in the context) when no credentials are configured."""

    async def user_id(self) -> int:
        """The id of the bridge's own Taiga user."""
        ...

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """The item as it is now, with its custom attribute values by name.

        Raises:
            NotFound: the item is gone, or hidden from our account.
        """
        ...

    async def attribute_definitions(self, kind: WorkKind, project_id: int) -> Sequence[AttributeDefinition]:
        """The custom attributes of a project; remembered for a while."""
        ...

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Whether our account may see the items of a project.

        Raises:
            NotFound: there is no such project (any more).
            Rejected: it is closed to our account.
        """
        ...

    async def attribute_values(self, kind: WorkKind, item_id: int) -> AttributeValues:
        """The present values, keyed by attribute id."""
        ...

    async def replace_attribute_values(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        """Write the whole dict of values: what is left out is deleted (docs/facts/taiga.md section 7)."""
        ...


class TimeEntries(Protocol):
    """Invoice Ninja's tasks as handlers see them."""

    async def find_client(self, reference: str) -> str | None:
        """The client id for an id, a client number or an id number typed by a person; None when there is none."""
        ...

    async def create_task(self, entry: TimeEntry, client_id: str) -> Task:
        """Create the task; its `number` makes a second one impossible.

        Raises:
            Rejected: `names("number")` when the number is taken.
        """
        ...

    async def find_task(self, number: str) -> Task | None:
        """The task with exactly this number, deleted ones included."""
        ...

    async def task(self, task_id: str) -> Task:
        """The task by id.

        Raises:
            NotFound: there is none.
        """
        ...

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> Task:
        """Write the whole task: a PUT is not partial (docs/facts/invoice-ninja.md section 6)."""
        ...

    async def delete_task(self, task_id: str) -> None:
        """Delete the task; its number stays taken."""
        ...

    async def restore_task(self, task_id: str) -> None:
        """Bring a deleted or archived task back."""
        ...


@dataclass(frozen=True, slots=True)
class Link:
    """What was made in Invoice Ninja for a subject. `kind` and `number` identify it within the subject.

    `state` is what we sent and what the server made of it (JSON; decimals as text).
    """

    subject: str
    kind: str
    number: str
    remote_id: str
    state: Mapping[str, Any]


class Links(Protocol):
    """The memory of effects."""

    async def of_subject(self, subject: str) -> Sequence[Link]:
        """All links of a subject, in the order of their numbers."""
        ...

    async def save(self, link: Link) -> None:
        """Insert or replace (subject, kind, number)."""
        ...

    async def remove(self, link: Link) -> None:
        """Forget a link whose record is gone."""
        ...


class Reviews(Protocol):
    """Things that only a person may decide (a credit for hours billed too much, an unmatched payment)."""

    async def open(self, subject: str, kind: str, summary: str, details: Mapping[str, Any]) -> None:
        """Open or refresh the review of this kind for the subject."""
        ...

    async def close(self, subject: str, kind: str, why: str) -> None:
        """Close it, if open: the reason for it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a handler may use.

    `write_back_quiet` is for how many seconds nobody must have changed an item before we write into Taiga.
    """

    mapping: MappingFile
    clock: Clock
    ninja: TimeEntries
    links: Links
    reviews: Reviews
    taiga: TaigaWork | None = None
    payments: PaymentWorld | None = None
    payment_links: LinkWorld | None = None
    invoicing: InvoiceWorld | None = None
    history: EventHistory | None = None
    events: EventSink | None = None
    write_back_quiet: float = 0.0
    number_prefix: str = NUMBER_PREFIX
