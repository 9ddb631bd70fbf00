"""What only the making of invoices asks of Invoice Ninja (docs/facts/invoice-ninja.md sections 3, 6 and 7)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any

import httpx

from handlers.errors import NeedsPerson, NotFound
from mappings.codes import Code
from mappings.invoiceninja.decode import read_client, read_group, read_invoice, read_project, read_task, record_id, text
from mappings.invoiceninja.models import Invoice, NinjaClient, Project
from mappings.invoiceninja.task_log import write_log
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.values.text import LONGEST_COLUMN
from middleware.clients.http.address import segment
from middleware.clients.http.client import Params, Record, Row
from middleware.clients.http.ttl_cache import Remembered
from middleware.clients.invoiceninja.company import CompanyApi
from middleware.clients.invoiceninja.invoices import InvoicesApi
from middleware.clients.invoiceninja.transport import NinjaTransport

_AT_ONCE = 4
"""Pages that are asked for at the same time: PHP servers have few workers."""

_PEOPLE_FOR = 600.0
"""Seconds for which the names of users are remembered."""

_LIVE = {"status": "active,archived"}


class WideReading(NinjaTransport):
    """Long lists, several pages at a time."""

    async def _all(
        self, read: Callable[[Row], Record], path: str, filters: Params, keep: Callable[[Record], bool]
    ) -> list[Record]:
        """All records of a list, in the order of their ids; `keep` re-checks every filter, as in `_list`.

        A row that leaves the filter meanwhile moves others over the edge of a page: those are missed this time.
        """
        first, last_page = await self._page(read, path, filters, 1)
        places = asyncio.Semaphore(_AT_ONCE)

        async def page(number: int) -> list[Record]:
            async with places:
                return (await self._page(read, path, filters, number))[0]

        others = await asyncio.gather(*(page(number) for number in range(2, last_page + 1)))
        return [record for records in (first, *others) for record in records if keep(record)]


class BillingApi(WideReading, InvoicesApi, CompanyApi):
    """Unbilled tasks with their logs, invoices by date, people's names, and dividing a task."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        super().__init__(http)
        self._people: Remembered[str, Mapping[str, str]] = Remembered()

    async def unbilled_tasks(self, client_id: str = "") -> list[Task]:
        """GET /tasks: all tasks that no invoice bills, running and archived ones included; of a client when given."""
        filters = {"client_status": "uninvoiced", **_LIVE}
        filters |= {"client_id": client_id} if client_id else {}

        def keep(task: Task) -> bool:
            is_free = not (task.invoice_id or task.is_deleted)
            return is_free and client_id in {"", task.client_id}

        return await self._all(read_task, "/tasks", filters, keep)

    async def logged_tasks(self, client_id: str, task_ids: Collection[str], since: int) -> dict[str, Task]:
        """GET /tasks: these tasks as they are now, deleted ones included; those that are purged are missing.

        Linking stamps a task, so what was invoiced since then comes in pages; only the others are asked for one by one.
        """
        wanted = frozenset(task_ids)
        filters: Params = {"client_id": client_id, "client_status": "invoiced", "updated_at": since}
        listed = await self._all(read_task, "/tasks", filters, lambda task: task.id in wanted)
        found = {task.id: task for task in listed}
        for task_id in sorted(wanted - found.keys()):
            with contextlib.suppress(NotFound):
                found[task_id] = await self._get(read_task, f"/tasks/{segment(task_id)}")
        return found

    async def all_tasks(self, task_ids: Collection[str]) -> list[Task]:
        """GET /tasks: those of these tasks that are there, archived and deleted ones included; one long list."""
        wanted = frozenset(task_ids)
        filters: Params = {"status": "active,archived,deleted"}
        return await self._all(read_task, "/tasks", filters, lambda task: task.id in wanted)

    async def client_groups(self) -> Mapping[str, Mapping[str, Any]]:
        """GET /group_settings: the settings of groups of clients by id; {} for one that is archived or deleted."""
        return dict(await self._all(read_group, "/group_settings", {}, lambda _group: True))

    async def client_list(self) -> list[NinjaClient]:
        """GET /clients: all that are not deleted."""
        return await self._all(read_client, "/clients", _LIVE, lambda client: not client.is_deleted)

    async def project_list(self, client_id: str = "") -> list[Project]:
        """GET /projects: all that are not deleted, of a client when given."""
        filters = _LIVE | ({"client_id": client_id} if client_id else {})
        projects = await self._all(read_project, "/projects", filters, lambda project: not project.is_deleted)
        return [project for project in projects if client_id in {"", project.client_id}]

    async def people(self) -> Mapping[str, str]:
        """GET /users: names by id, remembered for ten minutes."""
        known = self._people.get("")
        if known is None:
            pairs = await self._all(_read_person, "/users", {}, lambda _person: True)
            known = self._people.put("", dict(pairs), _PEOPLE_FOR)
        return known

    async def invoices_since(self, day: date, client_id: str = "") -> AsyncIterator[Invoice]:
        """GET /invoices: those that are not deleted, dated on this day or later; of a client when given."""
        filters = {**_LIVE, "date": day.isoformat()} | ({"client_id": client_id} if client_id else {})

        def keep(invoice: Invoice) -> bool:
            return not invoice.is_deleted and client_id in {"", invoice.client_id}

        async for invoice in self._list(read_invoice, "/invoices", filters, keep):
            yield invoice

    async def invoices_changed_since(self, moment: int) -> AsyncIterator[Invoice]:
        """GET /invoices: those that changed since a moment (unix seconds), deleted ones included."""
        filters: Params = {"status": "active,archived,deleted", "updated_at": moment}
        async for invoice in self._list(read_invoice, "/invoices", filters, lambda one: one.updated_at >= moment):
            yield invoice

    async def email_invoices(self, invoice_ids: Collection[str]) -> list[Invoice]:
        """POST /invoices/bulk email: one request for all; drafts become sent.

        Raises:
            Throttled: another such request came within the last second.
        """
        return await self.act_on_invoices("email", invoice_ids)

    async def create_rest(self, task: Task, number: str, log: Sequence[LogEntry]) -> Task:
        """POST /tasks: a task like this one, under another number and with this part of its log.

        Raises:
            Rejected: `names("number")` when the number is taken.
        """
        made = await self._write(read_task, "POST", "/tasks", _task_body(task, number, log))
        self._check_echo("POST /tasks", made.id, "number", sent=number, got=made.number)
        return made

    async def free_task(self, task: Task, log: Sequence[LogEntry]) -> Task:
        """PUT /tasks/{id} without an invoice, and with this log.

        Raises:
            Rejected: tasks on invoices are locked (invoice_task_lock).
        """
        body = {**_task_body(task, task.number, log), "invoice_id": ""}
        return await self._write(read_task, "PUT", f"/tasks/{segment(task.id)}", body)

    async def replace_log(self, task: Task, log: Sequence[LogEntry]) -> Task:
        """PUT /tasks/{id} with another log; everything else is sent as it was, because a PUT is not partial."""
        body = _task_body(task, task.number, log)
        return await self._write(read_task, "PUT", f"/tasks/{segment(task.id)}", body)


def _task_body(task: Task, number: str, log: Sequence[LogEntry]) -> dict[str, Any]:
    time_log = write_log(log)
    if len(time_log.encode()) > LONGEST_COLUMN:
        raise NeedsPerson(
            Code.ECHO_DIFFERS,
            f"the time log of {number} with its texts is longer than {LONGEST_COLUMN} bytes: Invoice Ninja cuts it",
            "shorten the texts of its entries there, then replay this event",
        )
    body = {
        "number": number,
        "description": task.description,
        "client_id": task.client_id,
        "project_id": task.project_id,
        "rate": task.rate,
        "time_log": time_log,
    }
    return body | ({"assigned_user_id": task.assigned_id} if task.assigned_id else {})


def _read_person(row: Row) -> tuple[str, str]:
    return record_id(row), f"{text(row, 'first_name')} {text(row, 'last_name')}".strip()
