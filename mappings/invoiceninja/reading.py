"""Reads Invoice Ninja's tasks with their whole logs, and writes logs (docs/facts/invoice-ninja.md section 6)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mappings.invoiceninja.decode import amount, flag, record_id, text, whole
from mappings.invoiceninja.task_log import log_entries
from mappings.invoices.models import LogEntry, LoggedTask

_NOTE, _BILLABLE = 2, 3


def read_logged_task(row: Mapping[str, Any]) -> LoggedTask:
    """A row of /tasks."""
    assigned = text(row, "assigned_user_id")
    return LoggedTask(
        id=record_id(row),
        number=text(row, "number"),
        client_id=text(row, "client_id"),
        project_id=text(row, "project_id"),
        description=text(row, "description"),
        rate=amount(row, "rate"),
        log=read_log(row.get("time_log")),
        invoice_id=text(row, "invoice_id"),
        person_id=assigned or text(row, "user_id"),
        assigned_id=assigned,
        is_deleted=flag(row, "is_deleted"),
        is_archived=whole(row, "archived_at") > 0,
    )


def read_log(log: Any) -> tuple[LogEntry, ...]:
    """The entries of a `time_log`; what is no entry is left out, an entry that says nothing else is billable."""
    return tuple(_entry(entry) for entry in log_entries(log))


def write_log(log: Sequence[LogEntry]) -> str:
    """The log as Invoice Ninja takes it: a text."""
    entries = [[entry.started_at, entry.ended_at, entry.note, entry.is_billable] for entry in log]
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False)


def _entry(entry: list[Any]) -> LogEntry:
    note = entry[_NOTE] if len(entry) > _NOTE and isinstance(entry[_NOTE], str) else ""
    is_billable = len(entry) <= _BILLABLE or entry[_BILLABLE] in (True, "true", 1, None)
    return LogEntry(entry[0], entry[1], note, is_billable)
