"""A context that only reads: what handlers would write is noted instead of done.

Time entries are played through to the end. The books of payments and invoices stop at the first write: what comes after
it depends on its answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any, NoReturn, cast

from handlers.errors import Rejected
from handlers.ports.billing import PaymentMemoryReader, PaymentReader
from handlers.ports.context import Context, Link, Links, Reviews, TaigaWork, TimeEntries
from handlers.ports.invoice_world import BillingReader, PlanReader
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkItem, WorkKind
from mappings.time.models import TimeEntry

DRY_ID = "(not created)"

VERBS = (("create", "create"), ("delete", "delete"), ("refund", "update"), ("email", "send"), ("enqueue", "create"))


class WouldWriteError(Exception):
    """The dry run ends here: the next step would write."""


@dataclass(slots=True)
class Script:
    """The writes that were asked for: (effect, what)."""

    steps: list[tuple[str, str]] = field(default_factory=list)

    def note(self, effect: str, what: str) -> None:
        """One write."""
        self.steps.append((effect, what))


class DryTimeEntries:
    """Implements `handlers.ports.context.TimeEntries`; reads are real."""

    def __init__(self, real: TimeEntries, script: Script) -> None:
        self._real = real
        self._script = script
        self._made: dict[str, Task] = {}

    async def find_client(self, reference: str) -> str | None:
        """Read."""
        return await self._real.find_client(reference)

    async def find_task(self, number: str) -> Task | None:
        """Read."""
        return await self._real.find_task(number)

    async def task(self, task_id: str) -> Task:
        """Read; what was written here is as it was written."""
        return self._made.get(task_id) or await self._real.task(task_id)

    async def create_task(self, entry: TimeEntry, client_id: str) -> Task:
        """Note it; a number that is taken is refused as the server would."""
        if await self._real.find_task(entry.number) is not None:
            taken = {"number": ["The number has already been taken."]}
            raise Rejected("invoiceninja", "POST /tasks", "the number is taken", status=422, errors=taken)
        self._script.note("create", f"create time entry {entry.number}: {entry.hours} h at {entry.rate}")
        return self._keep(Task(DRY_ID, entry.number, "", "", "", entry.rate, ()), entry, client_id)

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> Task:
        """Note it."""
        self._script.note("update", f"update time entry {entry.number}: {entry.hours} h at {entry.rate}")
        return self._keep(await self.task(task_id), entry, client_id)

    async def delete_task(self, task_id: str) -> None:
        """Note it."""
        task = await self.task(task_id)
        self._script.note("delete", f"delete time entry {task.number}")
        self._made[task_id] = replace(task, is_deleted=True)

    async def restore_task(self, task_id: str) -> None:
        """Note it."""
        task = await self.task(task_id)
        self._script.note("update", f"restore time entry {task.number}")
        self._made[task_id] = replace(task, is_deleted=False)

    def _keep(self, task: Task, entry: TimeEntry, client_id: str) -> Task:
        written = replace(
            task,
            client_id=client_id,
            project_id=entry.project_id,
            description=entry.description,
            rate=entry.rate,
            log=(LogEntry(entry.started_at, entry.ended_at),),
        )
        self._made[task.id] = written
        return written


class DryTaiga:
    """Implements `handlers.ports.context.TaigaWork`; reads are real."""

    def __init__(self, real: TaigaWork, script: Script) -> None:
        self._real = real
        self._script = script

    async def user_id(self) -> int:
        """Read."""
        return await self._real.user_id()

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """Read."""
        return await self._real.item(kind, item_id)

    async def attribute_definitions(self, kind: WorkKind, project_id: int) -> Sequence[AttributeDefinition]:
        """Read."""
        return await self._real.attribute_definitions(kind, project_id)

    async def may_list(self, kind: WorkKind, project_id: int) -> bool:
        """Read."""
        return await self._real.may_list(kind, project_id)

    async def attribute_values(self, kind: WorkKind, item_id: int) -> AttributeValues:
        """Read."""
        return await self._real.attribute_values(kind, item_id)

    async def replace_attribute_values(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        """Note it."""
        self._script.note("update", f"write the attributes of {kind} {item_id} in Taiga")
        return values


class DryLinks:
    """Implements `handlers.ports.context.Links`: remembers nothing."""

    def __init__(self, real: Links) -> None:
        self._real = real

    async def of_subject(self, subject: str) -> Sequence[Link]:
        """Read."""
        return await self._real.of_subject(subject)

    async def save(self, link: Link) -> None:
        """Our own memory is no effect."""

    async def remove(self, link: Link) -> None:
        """Our own memory is no effect."""


class DryReviews:
    """Implements `handlers.ports.context.Reviews`: asks nobody."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def open(self, subject: str, kind: str, summary: str, details: Mapping[str, Any]) -> None:  # noqa: ARG002 - as declared
        """Note it."""
        self._script.note("review", f"ask a person: {summary}")

    async def close(self, subject: str, kind: str, why: str) -> None:
        """Closing what may be open is no effect worth telling."""


class ReadOnly:
    """Lets the methods of a Reader pass; any other one is a write, and ends the dry run (or is left out)."""

    def __init__(self, real: object, reader: type, script: Script, *, left_out: bool = False) -> None:
        self._real = real
        self._reads = methods_of(reader)
        self._script = script
        self._left_out = left_out

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        return method if name in self._reads or not callable(method) else self._write(name)

    def _write(self, name: str) -> Callable[..., Any]:
        async def leave_out(*_arguments: Any, **_named: Any) -> None:
            return None

        async def end(*arguments: Any, **named: Any) -> NoReturn:
            effect = next((effect for verb, effect in VERBS if name.startswith(verb)), "update")
            told = ", ".join(_shown(value) for value in (*arguments, *named.values()))
            self._script.note(effect, f"{name.replace('_', ' ')} ({told})")
            raise WouldWriteError

        return leave_out if self._left_out else end


def methods_of(port: type) -> frozenset[str]:
    """The methods that a Protocol and its bases declare."""
    return frozenset(name for each in port.__mro__ for name in vars(each) if not name.startswith("_"))


def _shown(value: Any) -> str:
    """An argument in a few words: of a record its telling fields."""
    if is_dataclass(value):
        names = ("number", "client_id", "amount", "invoice_id", "type", "subject")
        told = [f"{name} {found}" for name in names if (found := getattr(value, name, None))]
        return " ".join(told) or type(value).__name__
    return str(value)[:80]


def read_only(context: Context, script: Script) -> Context:
    """The context with writes noted in the script instead of done."""
    payments, invoicing = context.payments, context.invoicing
    if payments is not None:
        payments = replace(
            payments,
            books=cast("Any", ReadOnly(payments.books, PaymentReader, script)),
            memory=cast("Any", ReadOnly(payments.memory, PaymentMemoryReader, script, left_out=True)),
        )
    if invoicing is not None:
        invoicing = replace(
            invoicing,
            books=cast("Any", ReadOnly(invoicing.books, BillingReader, script)),
            plans=cast("Any", ReadOnly(invoicing.plans, PlanReader, script, left_out=True)),
            events=cast("Any", ReadOnly(invoicing.events, object, script)),
        )
    return replace(
        context,
        ninja=DryTimeEntries(context.ninja, script),
        links=DryLinks(context.links),
        reviews=cast("Reviews", DryReviews(script)),
        taiga=None if context.taiga is None else DryTaiga(context.taiga, script),
        payments=payments,
        # Links follow payments that are really recorded, and each step of theirs writes at Stripe.
        payment_links=None,
        invoicing=invoicing,
        # A write-back that would wait is shown as the write that it will be.
        events=None,
    )
