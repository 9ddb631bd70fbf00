"""What our own write-back overwrote: Taiga takes the whole dict of values, and the last write wins without a conflict.

When a person fills in an attribute between our reading and our writing, their value is gone, and our own webhook is the
only one to tell: its difference shows their value turned into the one we had read (facts/taiga.md sections 2 and 7).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mappings.taiga import actor_id


@dataclass(frozen=True, slots=True)
class Overwritten:
    """One value of a person that we replaced; None stands for no value."""

    attribute: str
    theirs: Any
    ours: Any


def overwritten(payload: Any, own_user_id: int, status_attribute: str) -> list[Overwritten]:
    """The values that a write-back of ours replaced besides its own attribute; mostly none.

    Only a change in which the bridge set its own attribute counts: a person who shares its account changes one
    attribute at a time.
    """
    if actor_id(payload) != own_user_id or payload.get("action") != "change":
        return []
    changes = list(attribute_changes(payload))
    if all(change.attribute != status_attribute for change in changes):
        return []
    return [change for change in changes if change.attribute != status_attribute]


def attribute_changes(payload: Any) -> Iterator[Overwritten]:
    """The attributes that an event changed: `theirs` is the value before, `ours` the one after."""
    change = payload.get("change")
    diff = change.get("diff") if isinstance(change, dict) else None
    groups = diff.get("custom_attributes") if isinstance(diff, dict) else None
    if not isinstance(groups, dict):
        return
    for group in ("new", "changed", "deleted"):
        entries = groups.get(group)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and isinstance(entry.get("name"), str):
                before, after = _values(group, entry)
                yield Overwritten(entry["name"], before, after)


def _values(group: str, entry: dict[str, Any]) -> tuple[Any, Any]:
    if group == "new":
        return None, entry.get("value")
    if group == "deleted":
        return entry.get("value"), None
    changes = entry.get("changes")
    pair = changes.get("value") if isinstance(changes, dict) else None
    # A change of nothing but the name or type of an attribute has no values.
    return (pair[0], pair[1]) if isinstance(pair, list) and len(pair) == 2 else (None, None)  # noqa: PLR2004 - a pair
