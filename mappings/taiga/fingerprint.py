"""What is known of a Taiga item, as marks to compare, and as the webhook that Taiga never sent.

Reconciling compares what Taiga's lists say with the stored events. `modified_date` only says that something
may have changed: it moves when a card is dragged, and stands still when only attributes change (docs/facts/taiga.md
section 7).
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mappings.taiga.models import WorkItem
from mappings.taiga.webhook import finish_path


def row_mark(item: WorkItem) -> str:
    """A mark of what a list tells of an item: when it is another one, the item has to be looked at."""
    return _mark([*_facts(item), item.changed_at.astimezone(UTC).isoformat()])


def content_mark(item: WorkItem, own_attribute: str) -> str:
    """A mark of everything that decides what is billed; the same from a webhook and from a list.

    `own_attribute` is the one that the bridge writes itself: it does not count.
    """
    if item.is_deleted:
        return "gone"
    return _mark([*_facts(item), _values(item.attributes, own_attribute)])


def as_webhook(item: WorkItem, now: datetime) -> dict[str, Any]:
    """The state of an item in the shape of a webhook; `mappings.taiga.webhook` reads it like any other.

    The action is `reconcile`, or `delete` for an item that is gone; nobody did it (`by` is null), so it is never taken
    for the echo of our own write-back. `now` is when the state was read.
    """
    data: dict[str, Any] = {
        "id": item.id,
        "ref": item.ref,
        "subject": item.subject,
        "permalink": item.permalink,
        "project": {"id": item.project_id, "name": item.project_name},
        "status": {"is_closed": item.is_closed},
        "assigned_to": None if item.assignee is None else {"id": item.assignee_id, "username": item.assignee},
        "modified_date": _iso(item.changed_at),
        finish_path("", item.kind): None if item.finished_at is None else _iso(item.finished_at),
        "custom_attributes_values": None if item.is_deleted else dict(item.attributes or {}),
    }
    if item.kind == "userstory":
        data["is_closed"] = item.is_closed
    action = "delete" if item.is_deleted else "reconcile"
    return {"action": action, "type": item.kind, "by": None, "date": _iso(now), "data": data}


def _facts(item: WorkItem) -> list[Any]:
    # To the second: webhooks and lists need not agree on the digits behind it.
    finished = None if item.finished_at is None else int(item.finished_at.timestamp())
    return [item.project_id, item.ref, item.subject, item.is_closed, finished, item.assignee]


def _values(values: Mapping[str, Any] | None, own_attribute: str) -> dict[str, Any]:
    return {
        name: _plain(value) for name, value in (values or {}).items() if value is not None and name != own_attribute
    }


def _plain(value: Any) -> Any:
    """Numbers as text without empty digits (2 is 2.0), so that equal values have equal marks."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | float):
        if isinstance(value, Mapping):
            return {str(key): _plain(member) for key, member in value.items()}
        return [_plain(member) for member in value] if isinstance(value, list | tuple) else value
    sign, digits, exponent = Decimal(str(value) if isinstance(value, float) else value).as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    bare = text.rstrip("0")
    return f"#{'-' if sign and bare else ''}{bare or 0}e{_shifted(exponent, len(text) - len(bare)) if bare else 0}"


def _shifted(exponent: int | str, zeros: int) -> int | str:
    return exponent + zeros if isinstance(exponent, int) else exponent


def _mark(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
