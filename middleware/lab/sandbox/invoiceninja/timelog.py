"""The `time_log` of a task: a JSON list in a string, with the server's checks and rounding (facts section 6)."""

import json
from typing import Any

from middleware.lab.sandbox.invoiceninja.call import invalid, refuse

Entry = list[Any]

_OVERLAP = "Please correct overlapping values"


def parse(raw: Any) -> list[Entry]:
    """Read and check a time log as sent; the entries come back sorted by start.

    Raises:
        RefusedError: 422 for what the validation catches, 500 for what breaks the server (a list instead of a
            string, flat lists, objects).
    """
    if raw is None:
        return []
    if not isinstance(raw, str):
        refuse(500, "Server Error")
    try:
        entries = json.loads(raw)
    except ValueError:
        entries = None
    if not isinstance(entries, list):
        invalid({"time_log": ["The time_log must be a valid array."]})
    for entry in entries:
        _check_entry(entry)
    ordered = sorted(entries, key=lambda entry: int(entry[0]))
    if _overlaps(ordered):
        invalid({"time_log": [_OVERLAP]})
    return ordered


def load(stored: str) -> list[Entry]:
    """Read a time log from the table, unchecked: starting and stopping may leave overlaps."""
    entries: list[Entry] = json.loads(stored)
    return entries


def dump(entries: list[Entry]) -> str:
    """Write a time log as the server stores it."""
    return json.dumps(entries, separators=(",", ":"), ensure_ascii=False)


def is_running(entries: list[Entry]) -> bool:
    """Tell whether the last entry has no end."""
    return bool(entries) and _end(entries[-1]) == 0


def seconds(entries: list[Entry]) -> int:
    """Sum the length of all finished entries, billable or not."""
    return sum(_end(entry) - int(entry[0]) for entry in entries if _end(entry))


def rounded(entries: list[Entry], step: int, *, up: bool) -> list[Entry]:
    """Round the length of finished entries to `step` seconds by moving their ends; 0 and 1 change nothing.

    Down, exactly one step becomes nothing, while two steps stay two (facts 2, section 1).
    """
    if step <= 1:
        return entries
    return [
        entry if _end(entry) == 0 else [entry[0], _rounded_end(entry, step, up=up), *entry[2:]] for entry in entries
    ]


def _rounded_end(entry: Entry, step: int, *, up: bool) -> int:
    length = _end(entry) - int(entry[0])
    steps = -(-length // step) if up else (length // step if length > step else 0)
    return int(entry[0]) + steps * step


def _check_entry(entry: Any) -> None:
    if not isinstance(entry, list) or not entry:
        refuse(500, "Server Error")
    if not all(isinstance(moment, int) and not isinstance(moment, bool) for moment in entry[:2]):
        lines = "\n".join(f"    [{index}] => {value}" for index, value in enumerate(entry))
        message = f"The time_log - Array\n(\n{lines}\n)\n is invalid. Unix timestamps only."
        invalid({"time_log": [message]})


def _end(entry: Entry) -> int:
    return int(entry[1]) if len(entry) > 1 else 0


def _overlaps(ordered: list[Entry]) -> bool:
    """Touching is fine; an open end is allowed in the last entry only; an end before its start is an overlap."""
    for index, entry in enumerate(ordered):
        is_last = index + 1 == len(ordered)
        is_open = _end(entry) == 0
        is_reversed = not is_open and _end(entry) < int(entry[0])
        if is_reversed or (not is_last and (is_open or int(ordered[index + 1][0]) < _end(entry))):
            return True
    return False
