"""Invoice Ninja's tasks, which hold the time (docs/facts/invoice-ninja.md section 6)."""

from typing import Any

import httpx

from handlers.errors import Doubtful, NeedsPerson, Rejected
from mappings.codes import Code
from mappings.invoiceninja.decode import read_task
from mappings.invoiceninja.task_log import write_log
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.time.models import TimeEntry
from mappings.values.text import fitting
from middleware.clients.http.address import segment
from middleware.clients.invoiceninja.clients import ClientsApi


class TasksApi(ClientsApi):
    """Tasks: found by our `number`, always written as whole documents."""

    async def create_task(self, entry: TimeEntry, client_id: str) -> Task:
        """POST /tasks.

        Raises:
            Rejected: `names("number")` when the number is taken.
            NeedsPerson: the rate is missing, or the server made a record that is not what was sent.
        """
        return await self._write_task("POST", "/tasks", entry, client_id)

    async def update_task(self, task_id: str, entry: TimeEntry, client_id: str) -> Task:
        """PUT /tasks/{id} with every field of ours: one left out is wiped, a number left out is replaced.

        Raises:
            Rejected: the task is deleted, or locked because it is invoiced.
        """
        return await self._write_task("PUT", f"/tasks/{segment(task_id)}", entry, client_id)

    async def find_task(self, number: str) -> Task | None:
        """GET /tasks?number=, deleted and archived ones included; None when there is none."""
        tasks = await self._find(read_task, "/tasks", {"number": number}, lambda task: task.number == number)
        return tasks[0] if tasks else None

    async def task(self, task_id: str) -> Task:
        """GET /tasks/{id}, deleted ones included.

        Raises:
            NotFound: there is none.
        """
        return await self._get(read_task, f"/tasks/{segment(task_id)}")

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
        tasks = [self._typed(read_task, row, reply.request, is_read=False) for row in rows]
        if not any(task.id == task_id and not task.is_deleted and not task.is_archived for task in tasks):
            message = f"task {task_id} was not restored"
            raise Doubtful(self._dialect.system, reply.request, message, status=httpx.codes.OK)

    async def _write_task(self, method: str, path: str, entry: TimeEntry, client_id: str) -> Task:
        body = _task_body(entry, client_id)
        try:
            task = await self._write(read_task, method, path, body)
        except Rejected as rejected:
            if rejected.names("client_id"):
                self.forget_clients()
            raise
        self._check_echo(f"{method} {path}", task.id, "number", sent=entry.number, got=task.number)
        return task


def _task_body(entry: TimeEntry, client_id: str) -> dict[str, Any]:
    if not entry.rate.is_finite() or entry.rate <= 0:
        # Invoice Ninja would take the project's, the client's or its own default rate instead.
        raise NeedsPerson(
            Code.NO_RATE,
            f"time entry {entry.number} has the rate {entry.rate}",
            "give the task, the person or the project an hourly rate above 0",
        )
    return {
        "number": entry.number,
        "description": fitting(entry.description),
        "client_id": client_id,
        "project_id": entry.project_id,
        "rate": entry.rate,
        "time_log": write_log([LogEntry(entry.started_at, entry.ended_at)]),
    }
