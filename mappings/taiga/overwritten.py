"""What our own write-back overwrote: Taiga takes the whole dict of values, and the last write wins without a conflict.

When a person fills in an attribute between our reading and our writing, their value is gone, and our own webhook is the
only one to tell: its difference shows their value turned into the one we had read (docs/facts/taiga.md
sections 2 and 7).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mappings.taiga.webhook import actor_id


@dataclass(frozen=True, slots=True)
class Overwritten:
    """One value of a person that we replaced; None stands for no value."""

    attribute: str
    theirs: Any
    ours: Any


Written = Mapping[str, str]
"""The values that a write of ours asked for, by the names of the attributes, as `as_text` gives them."""


def overwritten(
    payload: Any, own_user_id: int, status_attribute: str, remembered: Sequence[Written] = ()
) -> list[Overwritten]:
    """The values that a write-back of ours replaced besides its own attribute; mostly none.

    Only a change in which the bridge set its own attribute counts, or one that is just what a remembered write of
    ours asked for: a person who shares its account changes one attribute at a time.
    """
    if actor_id(payload) != own_user_id or payload.get("action") != "change":
        return []
    changes = list(attribute_changes(payload))
    is_ours = any(change.attribute == status_attribute for change in changes)
    if not is_ours and not any(_asks_for(written, changes) for written in remembered):
        return []
    return [change for change in changes if change.attribute != status_attribute]


def last_words(
    payloads: Iterable[Any], own_user_id: int, status_attribute: str, remembered: Sequence[Written]
) -> dict[str, Overwritten]:
    """Of all that happened to an item, oldest first: the last word of people on each value that is now one of ours."""
    words: dict[str, Any] = {}
    lost: dict[str, Overwritten] = {}
    for payload in payloads:
        ours = overwritten(payload, own_user_id, status_attribute, remembered)
        for change in attribute_changes(payload):
            if change in ours:
                word = words.setdefault(change.attribute, change.theirs)
                lost[change.attribute] = Overwritten(change.attribute, word, change.ours)
            elif change.attribute != status_attribute:
                words[change.attribute] = change.ours
                lost.pop(change.attribute, None)
    return {name: change for name, change in lost.items() if change.theirs != change.ours}


def as_text(value: Any) -> str:
    """A value of an attribute in one way of writing: 4, 4.0 and Decimal("4.00") are the same to Taiga."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return json.dumps(value, default=str, sort_keys=True)
    return f"{Decimal(str(value)).normalize():f}"


def _asks_for(written: Written, changes: Sequence[Overwritten]) -> bool:
    """Whether the write explains every change; what it does not name it takes away."""
    return all(written.get(change.attribute, as_text(None)) == as_text(change.ours) for change in changes)


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
