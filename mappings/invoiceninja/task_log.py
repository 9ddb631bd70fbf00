"""Invoice Ninja's `time_log`: a JSON text of `[start, end, description, billable]` in unix seconds.

Shapes: docs/facts/invoice-ninja.md section 6. The server stores and answers the text as it was sent.
"""

import json
from typing import Any


def time_log(started: int, ended: int) -> str:
    """The log of one billable stretch of time, as the server answers it."""
    return json.dumps([[started, ended, "", True]], separators=(",", ":"))


def read_time_log(log: Any) -> tuple[tuple[int, int], ...]:
    """The (start, end) of every entry, in unix seconds; a running one ends at 0. What is no entry is left out."""
    return tuple((start, end) for start, end, *_rest in log_entries(log))


def log_entries(log: Any) -> list[list[Any]]:
    """The entries of a log as they are written: two unix seconds and further fields. Anything else is left out."""
    try:
        entries = json.loads(log) if isinstance(log, str) else log
    except (ValueError, RecursionError):
        return []
    members = entries if isinstance(entries, list) else []
    return [entry for member in members if (entry := _entry(member))]


def _entry(member: Any) -> list[Any] | None:
    if not isinstance(member, list):
        return None
    entry = [*member, 0] if len(member) == 1 else member
    # type() and not isinstance: true and false are no times.
    return entry if [type(part) for part in entry[:2]] == [int, int] else None
