"""Invoice Ninja's tasks, which hold the time (facts/invoice-ninja.md section 6)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx

from handlers.errors import Doubtful, NeedsPerson, Rejected
from mappings.models import NinjaTask, TimeEntry
from mappings.ninja_rows import read_task
from mappings.timelog import time_log
from middleware.clients.address import segment
from middleware.clients.invoiceninja.clients import ClientsApi
from middleware.clients.invoiceninja.transport import Row


class TasksApi(ClientsApi):
    """Tasks: found by our `number`, always written as whole documents."""

    async def create_task(self, entry: TimeEntry, client_id: str) -> NinjaTask:
        """POST /tasks.

        Raises:
            Rejected: `names("number")` when the number is taken.
            NeedsPerson: the rate is missing, or the server made a record that is not what was sent.
        """
        return await self._write_task("POST", "/tasks", entry, client_id)

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> NinjaTask:
        """PUT /tasks/{id} with every field of ours: one left out is wiped, a number left out is replaced.

        Raises:
            Rejected: the task is deleted, or locked because it is invoiced.
        """
        return await self._write_task("PUT", f"/tasks/{segment(task_id)}", entry, client_id)

    async def find_task(self, number: str) -> NinjaTask | None:
        """GET /tasks?number=, deleted and archived ones included; None when there is none."""
        rows = await self._find("/tasks", {"number": number}, lambda row: row.get("number") == number)
        return read_task(rows[0]) if rows else None

    async def task(self, task_id: str) -> NinjaTask:
        """GET /tasks/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return read_task(await self._read_one(f"/tasks/{segment(task_id)}"))

    async def delete_task(self, task_id: str) -> None:
        """DELETE /tasks/{id}; again is no error, the number stays taken.

        Raises:
            NotFound: there is none.
        """
        await self._request("DELETE", f"/tasks/{segment(task_id)}")

    async def restore_task(self, task_id: str) -> None:
        """POST /tasks/bulk restore: bring a deleted or archived task back.

        Raises:
            Doubtful: the answer does not show the task restored.
        """
        reply = await self._request("POST", "/tasks/bulk", body={"action": "restore", "ids": [task_id]})
        rows = self._data(reply, is_read=False)
        restored = [read_task(row).id for row in rows if isinstance(row, Mapping) and not read_task(row).is_deleted]
        if task_id not in restored:
            message = f"task {task_id} was not restored"
            raise Doubtful(self._dialect.system, reply.request, message, status=httpx.codes.OK)

    async def uninvoiced_tasks(self, *, client_id: str = "", project_id: str = "") -> AsyncIterator[NinjaTask]:
        """All live tasks that no invoice bills, by id, running ones included; of a client or project when given."""
        filters = {"client_status": "uninvoiced", "status": "active"}
        filters |= {"client_id": client_id} if client_id else {}
        filters |= {"project_tasks": project_id} if project_id else {}

        def keep(row: Row) -> bool:
            task = read_task(row)
            is_ours = (not client_id or task.client_id == client_id) and (
                not project_id or task.project_id == project_id
            )
            return is_ours and not (task.is_invoiced or task.is_deleted or task.is_archived)

        async for row in self._rows("/tasks", filters, keep):
            yield read_task(row)

    async def _write_task(self, method: str, path: str, entry: TimeEntry, client_id: str) -> NinjaTask:
        body = _task_body(entry, client_id)
        try:
            row = await self._write_one(method, path, body)
        except Rejected as rejected:
            if rejected.names("client_id"):
                self.forget_clients()
            raise
        self._check_echo(f"{method} {path}", body, row)
        return read_task(row)


def _task_body(entry: TimeEntry, client_id: str) -> dict[str, Any]:
    if not entry.rate.is_finite() or entry.rate <= 0:
        # Invoice Ninja would take the project's, the client's or its own default rate instead.
        raise NeedsPerson(
            f"time entry {entry.number} has the rate {entry.rate}",
            "give the task, the person or the project an hourly rate above 0",
        )
    return {
        "number": entry.number,
        "description": entry.description,
        "client_id": client_id,
        "project_id": entry.project_id,
        "rate": entry.rate,
        "time_log": time_log(entry.started_at, entry.ended_at),
    }
