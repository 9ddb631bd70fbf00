"""Invoice Ninja's `time_log`: a JSON text of `[start, end, description, billable]` in unix seconds.

Shapes: facts/invoice-ninja.md section 6. The server stores and answers the text as it was sent.
"""

import json
from typing import Any


def time_log(started: int, ended: int) -> str:
    """The log of one billable stretch of time, as the server answers it."""
    return json.dumps([[started, ended, "", True]], separators=(",", ":"))


def read_time_log(text: Any) -> tuple[tuple[int, int], ...]:
    """The (start, end) of every entry, in unix seconds; a running one ends at 0. What is no entry is left out."""
    try:
        entries = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return ()
    return tuple((entry[0], entry[1]) for entry in entries if _is_entry(entry)) if isinstance(entries, list) else ()


def _is_entry(entry: Any) -> bool:
    # type() and not isinstance: true and false are no times.
    return isinstance(entry, list) and [type(part) for part in entry[:2]] == [int, int]
