"""Hand-written fakes of what handlers need from the world (`handlers.ports.context`), with switches for what can fail.

`FakeNinja` keeps tasks as Invoice Ninja does: a number stays taken for ever, a project decides on the client, a PUT on
an invoiced task succeeds unless the lock is on, a DELETE always does (docs/facts/invoice-ninja.md sections 4 and 6).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

from handlers.errors import NotFound, Rejected
from handlers.ports.context import Context, Link
from mappings.config.file import MappingFile
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkItem, WorkKind
from mappings.time.models import TimeEntry

NINJA = "invoiceninja"
TAIGA = "taiga"
ATTRIBUTES = ("Billable", "Duration (Hours)", "Hourly Rate", "Client Invoice ID", "Invoice Status")

Spoil = Exception | Callable[[], None]


class Spoilable:
    """Every call is noted, and may fail (or do something else) before or after its effect, once for each mention."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._before: defaultdict[str, list[Spoil]] = defaultdict(list)
        self._after: defaultdict[str, list[Spoil]] = defaultdict(list)

    def before(self, call: str, *spoils: Spoil) -> None:
        """The next calls of this name fail (or do this) before their effect."""
        self._before[call] += spoils

    def after(self, call: str, *spoils: Spoil) -> None:
        """The next calls of this name fail (or do this) after their effect: the answer is lost."""
        self._after[call] += spoils

    def count(self, call: str) -> int:
        """How often it was called."""
        return self.calls.count(call)

    def _begin(self, call: str) -> None:
        self.calls.append(call)
        self._spoil(self._before[call])

    def _end(self, call: str) -> None:
        self._spoil(self._after[call])

    @staticmethod
    def _spoil(waiting: list[Spoil]) -> None:
        if not waiting:
            return
        spoil = waiting.pop(0)
        if isinstance(spoil, Exception):
            raise spoil
        spoil()


class FakeNinja(Spoilable):
    """Invoice Ninja's tasks in memory. `clients` maps what people type to ids, `projects` projects to their clients."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Task] = {}
        self.billed: dict[str, Decimal] = {}
        self.clients: dict[str, str] = {"acme": "acme", "0001": "acme", "other": "other"}
        self.projects: dict[str, str] = {"site": "acme", "stranger": "other"}
        self.lock = False
        self.rounds_to = 1
        self._ids = count(1)

    @property
    def live(self) -> dict[str, Task]:
        """The tasks that are not deleted, by number."""
        return {task.number: task for task in self.tasks.values() if not task.is_deleted}

    @property
    def hours(self) -> dict[str, Decimal]:
        """The hours of the live tasks by number."""
        return {number: hours_of(task) for number, task in self.live.items()}

    def invoice(self, number: str, invoice_id: str = "INV1") -> None:
        """Bill a task on an invoice, as a person would in Invoice Ninja; `billed` are the hours on its line."""
        task = self._numbered(number)
        assert task is not None
        self.billed.setdefault(number, hours_of(task))
        self.tasks[task.id] = replace(task, invoice_id=invoice_id)

    def drop_invoice(self, number: str) -> None:
        """Delete the invoice of a task: it is unlinked."""
        task = self._numbered(number)
        assert task is not None
        self.tasks[task.id] = replace(task, invoice_id="")
        self.billed.pop(number, None)

    def delete(self, number: str) -> None:
        """Delete a task by hand."""
        task = self._numbered(number)
        assert task is not None
        self.tasks[task.id] = replace(task, is_deleted=True)

    async def find_client(self, reference: str) -> str | None:
        """The client by what a person typed."""
        self._begin("find_client")
        return self.clients.get(reference)

    async def create_task(self, entry: TimeEntry, client_id: str) -> Task:
        """POST: the number must be free, deleted tasks hold theirs."""
        self._begin("create_task")
        if self._numbered(entry.number) is not None:
            raise rejected("POST /tasks", "number", "The number has already been taken.")
        task = self._stored(f"t{next(self._ids)}", entry, client_id)
        self._end("create_task")
        return task

    async def find_task(self, number: str) -> Task | None:
        """GET by number, deleted ones included."""
        self._begin("find_task")
        return self._numbered(number)

    async def task(self, task_id: str) -> Task:
        """GET by id, deleted ones included."""
        self._begin("task")
        return self._existing(task_id)

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> Task:
        """PUT: refused on a deleted task, and on an invoiced one when the lock is on."""
        self._begin("update_task")
        present = self._existing(task_id)
        if present.is_deleted:
            raise rejected("PUT /tasks", "", "Record is deleted and cannot be edited.", status=400)
        if present.is_invoiced and self.lock:
            raise rejected("PUT /tasks", "", "Insufficient permissions, or task may be locked", status=401)
        task = self._stored(task_id, entry, client_id, invoice_id=present.invoice_id)
        self._end("update_task")
        return task

    async def delete_task(self, task_id: str) -> None:
        """DELETE, which no lock hinders."""
        self._begin("delete_task")
        self.tasks[task_id] = replace(self._existing(task_id), is_deleted=True)
        self._end("delete_task")

    async def restore_task(self, task_id: str) -> None:
        """Bring a task back."""
        self._begin("restore_task")
        self.tasks[task_id] = replace(self._existing(task_id), is_deleted=False)
        self._end("restore_task")

    def _stored(self, task_id: str, entry: TimeEntry, client_id: str, invoice_id: str = "") -> Task:
        seconds = entry.ended_at - entry.started_at
        rounded = -(-seconds // self.rounds_to) * self.rounds_to
        is_known = entry.project_id in self.projects
        if not is_known and client_id not in self.clients.values():
            raise rejected("POST /tasks", "client_id", "The selected client id is invalid.")
        task = Task(
            id=task_id,
            number=entry.number,
            client_id=self.projects[entry.project_id] if is_known else client_id,
            project_id=entry.project_id if is_known else "",
            description=entry.description,
            rate=entry.rate,
            log=(LogEntry(entry.started_at, entry.started_at + rounded),),
            invoice_id=invoice_id,
        )
        self.tasks[task_id] = task
        return task

    def _numbered(self, number: str) -> Task | None:
        return next((task for task in self.tasks.values() if task.number == number), None)

    def _existing(self, task_id: str) -> Task:
        if task_id not in self.tasks:
            raise NotFound(NINJA, f"/tasks/{task_id}", "No query results for model", status=400)
        return self.tasks[task_id]


class FakeTaiga(Spoilable):
    """Taiga in memory: items with attribute values by id, as REST keeps them. Our own user has the id 99."""

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[WorkKind, int], WorkItem] = {}
        self.definitions = [AttributeDefinition(number, name, "text") for number, name in enumerate(ATTRIBUTES, 1)]
        self.values: dict[tuple[WorkKind, int], dict[str, Any]] = {}
        self.versions: defaultdict[tuple[WorkKind, int], int] = defaultdict(lambda: 1)
        self.gone_projects: set[int] = set()
        self.shows_items = True
        self.differences: list[dict[str, Any]] = []
        """What the webhook of each of our writes tells as changed, in the shape of Taiga's `diff`."""

    def put(self, item: WorkItem, **more_values: Any) -> None:
        """Let Taiga know this item, whose attributes are given by name; `more_values` are kept by attribute id."""
        ids = {definition.name: str(definition.id) for definition in self.definitions}
        typed = item.attributes or {}
        self.items[item.kind, item.id] = replace(item, attributes=None)
        self.values[item.kind, item.id] = {ids[name]: value for name, value in typed.items()} | more_values

    def fill_in(self, kind: WorkKind, item_id: int, name: str, value: Any) -> None:
        """A person types a value; None clears it."""
        (key,) = [str(definition.id) for definition in self.definitions if definition.name == name]
        self.values[kind, item_id][key] = value
        self.versions[kind, item_id] += 1

    def rename_attribute(self, name: str, new: str) -> None:
        """A project administrator gives an attribute another name; its values keep their id."""
        self.definitions = [replace(one, name=new) if one.name == name else one for one in self.definitions]

    def named(self, kind: WorkKind, item_id: int) -> dict[str, Any]:
        """The attribute values of an item by name."""
        names = {str(definition.id): definition.name for definition in self.definitions}
        return {names.get(key, key): value for key, value in self.values[kind, item_id].items()}

    async def user_id(self) -> int:
        """Our own user."""
        self._begin("user_id")
        return 99

    async def item(self, kind: WorkKind, item_id: int) -> WorkItem:
        """The item as it is now."""
        self._begin("item")
        if (kind, item_id) not in self.items or (kind, item_id) not in self.values:
            raise NotFound(TAIGA, f"/{kind}s/{item_id}", "No such item", status=404)
        item = replace(self.items[kind, item_id], attributes=self.named(kind, item_id))
        self._end("item")
        return item

    async def attribute_definitions(self, _kind: WorkKind, _project_id: int) -> Sequence[AttributeDefinition]:
        """The same attributes in every project."""
        self._begin("attribute_definitions")
        return self.definitions

    async def may_list(self, _kind: WorkKind, project_id: int) -> bool:
        """Whether the project is shown to us; one of `gone_projects` is not there."""
        self._begin("may_list")
        if project_id in self.gone_projects:
            raise NotFound(TAIGA, f"/projects/{project_id}", "No Project matches", status=404)
        return self.shows_items

    async def attribute_values(self, kind: WorkKind, item_id: int) -> AttributeValues:
        """The present values by id."""
        self._begin("attribute_values")
        if (kind, item_id) not in self.values:
            raise NotFound(TAIGA, f"/{kind}s/custom-attributes-values/{item_id}", "No such item", status=404)
        return AttributeValues(self.versions[kind, item_id], dict(self.values[kind, item_id]))

    async def replace_attribute_values(self, kind: WorkKind, item_id: int, values: AttributeValues) -> AttributeValues:
        """PATCH: the whole dict is replaced, whatever others wrote since the version that it names."""
        self._begin("replace_attribute_values")
        before = self.named(kind, item_id)
        self.values[kind, item_id] = dict(values.values)
        self.versions[kind, item_id] += 1
        self.differences.append(_difference(before, self.named(kind, item_id)))
        self._end("replace_attribute_values")
        return AttributeValues(self.versions[kind, item_id], dict(self.values[kind, item_id]))


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Values that are null are none for Taiga."""
    old, new = ({name: value for name, value in side.items() if value is not None} for side in (before, after))
    changed = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    groups = {
        "new": [{"name": name, "value": new[name]} for name in new.keys() - old.keys()],
        "changed": [{"name": name, "changes": {"value": [old[name], new[name]]}} for name in changed],
        "deleted": [{"name": name, "value": old[name]} for name in old.keys() - new.keys()],
    }
    return {"custom_attributes": groups}


class FakeLinks:
    """The memory of effects; `lose_next` loses the next write, as a kill between request and commit does."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, str], Link] = {}
        self.lose_next: Exception | None = None
        self.saves = 0

    async def of_subject(self, subject: str) -> Sequence[Link]:
        """The links of a subject in the order in which they were made."""
        return [link for link in self.rows.values() if link.subject == subject]

    async def save(self, link: Link) -> None:
        """Insert or replace."""
        if self.lose_next is not None and link.remote_id:
            error, self.lose_next = self.lose_next, None
            raise error
        self.saves += 1
        self.rows[link.subject, link.kind, link.number] = link

    async def remove(self, link: Link) -> None:
        """Forget."""
        self.rows.pop((link.subject, link.kind, link.number), None)


class FakeReviews:
    """What needs a person, by subject and kind."""

    def __init__(self) -> None:
        self.opened: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        self.settled: dict[tuple[str, str], Mapping[str, Any]] = {}
        """Details of those that a person closed."""

    def settle(self, subject: str, kind: str) -> None:
        """A person closes it."""
        self.settled[subject, kind] = self.opened.pop((subject, kind))[1]

    async def open(self, subject: str, kind: str, summary: str, details: Mapping[str, Any]) -> None:
        """Open or refresh."""
        self.opened[subject, kind] = (summary, details)

    async def close(self, subject: str, kind: str, why: str) -> None:
        """Close, if open."""
        self.opened.pop((subject, kind), None)

    @property
    def kinds(self) -> list[str]:
        """The kinds of what is open."""
        return [kind for _, kind in self.opened]


@dataclass
class World:
    """A context made of fakes, and the fakes themselves."""

    mapping: MappingFile
    ninja: FakeNinja = field(default_factory=FakeNinja)
    links: FakeLinks = field(default_factory=FakeLinks)
    reviews: FakeReviews = field(default_factory=FakeReviews)
    taiga: FakeTaiga | None = None
    number_prefix: str = "TAIGA-"

    @property
    def context(self) -> Context:
        """What a handler gets."""
        return Context(
            mapping=self.mapping,
            clock=lambda: datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
            ninja=self.ninja,
            links=self.links,
            reviews=self.reviews,
            taiga=self.taiga,
            number_prefix=self.number_prefix,
        )


def hours_of(task: Task) -> Decimal:
    """The hours of a task's log."""
    return Decimal(sum(end - start for start, end in task.spans)) / 3600


def rejected(request: str, name: str, message: str, status: int = 422) -> Rejected:
    """A refusal that names a field ("" for none)."""
    return Rejected(NINJA, request, message, status=status, errors={name: [message]} if name else {})
