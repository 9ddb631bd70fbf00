"""Invoice Ninja's `time_log`: a JSON text of `[start, end, description, billable]` in unix seconds.

Shapes: docs/facts/invoice-ninja.md section 6. The server stores and answers the text as it was sent.
"""

import json
from collections.abc import Sequence
from typing import Any

from mappings.invoiceninja.tasks import LogEntry

_NOTE, _BILLABLE = 2, 3


def read_log(log: Any) -> tuple[LogEntry, ...]:
    """The entries of a log; a running one ends at 0, one that says nothing else is billable.

    What is no entry is left out.
    """
    try:
        entries = json.loads(log) if isinstance(log, str) else log
    except (ValueError, RecursionError):
        return ()
    members = entries if isinstance(entries, list) else []
    return tuple(entry for member in members if (entry := _entry(member)))


def write_log(log: Sequence[LogEntry]) -> str:
    """The log as Invoice Ninja takes it: a text."""
    entries = [[entry.started_at, entry.ended_at, entry.note, entry.is_billable] for entry in log]
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False)


def _entry(member: Any) -> LogEntry | None:
    if not isinstance(member, list):
        return None
    parts = [*member, 0] if len(member) == 1 else member
    # type() and not isinstance: true and false are no times.
    if [type(part) for part in parts[:_NOTE]] != [int, int]:
        return None
    note = parts[_NOTE] if len(parts) > _NOTE and isinstance(parts[_NOTE], str) else ""
    is_billable = len(parts) <= _BILLABLE or parts[_BILLABLE] in (True, "true", 1, None)
    return LogEntry(parts[0], parts[1], note, is_billable)
