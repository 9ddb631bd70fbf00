"""What a Taiga webhook says (docs/facts/taiga.md sections 2 and 3). `mappings.taiga.rest` reads REST answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mappings.errors import NotUnderstood, shown
from mappings.taiga.models import WorkItem, WorkKind
from mappings.values.fields import take, take_id, take_optional, take_optional_time, take_time
from mappings.values.text import one_line

KINDS: Mapping[str, WorkKind] = {"task": "task", "userstory": "userstory", "issue": "issue"}
"""Taiga's types that can be billed."""

_LONGEST_WORD = 64
_HIDDEN_KEYS = {
    "taskboard_order",
    "us_order",
    "backlog_order",
    "sprint_order",
    "kanban_order",
    "epics_order",
    "modified_date",
    "version",
}


@dataclass(frozen=True, slots=True)
class EventHead:
    """What the receiver must know of any event: `type` such as `task.change`, `subject` such as `taiga:task:123`."""

    type: str
    subject: str
    occurred_at: datetime


def describe(payload: Any) -> EventHead:
    """The head of any Taiga webhook, also of types and actions that nobody knows yet.

    Raises:
        NotUnderstood: it is JSON of another shape.
    """
    action, kind = _word(payload, "action"), _word(payload, "type")
    occurred_at = take_time(payload, "date")
    data = take(payload, "data", dict)
    take_optional(payload, "by", dict)
    if "by" not in payload:
        raise NotUnderstood("by", "is missing")
    return EventHead(f"{kind}.{action}", _subject(payload, kind, data), occurred_at)


def _word(payload: Any, path: str) -> str:
    word = take(payload, path, str)
    if not word or len(word) > _LONGEST_WORD or not word.isprintable():
        raise NotUnderstood(path, f"{shown(word)} is not one of its names")
    return word


def _subject(payload: Any, kind: str, data: Mapping[str, Any]) -> str:
    if kind in KINDS or isinstance(data.get("id"), int):
        return f"taiga:{kind}:{take_id(payload, 'data.id')}"
    return f"taiga:{kind}"


def read_webhook(payload: Any) -> WorkItem:
    """The task, user story or issue as the webhook describes it; one that is deleted has no attributes.

    `changed_at` is the event's own date: `modified_date` does not move when only attributes change.

    Raises:
        NotUnderstood: it is another type, or of another shape.
    """
    kind = KINDS.get(take(payload, "type", str))
    if kind is None:
        raise NotUnderstood("type", f"{shown(payload['type'])} cannot be billed")
    is_deleted = take(payload, "action", str) == "delete"
    assignee = take_optional(payload, "data.assigned_to.username", str)
    return WorkItem(
        kind=kind,
        id=take_id(payload, "data.id"),
        ref=take(payload, "data.ref", int),
        subject=one_line(take(payload, "data.subject", str)),
        permalink=one_line(take(payload, "data.permalink", str)),
        project_id=take_id(payload, "data.project.id"),
        project_name=one_line(take(payload, "data.project.name", str)),
        is_closed=_is_closed(payload, kind),
        changed_at=take_time(payload, "date"),
        finished_at=take_optional_time(payload, finish_path("data", kind)),
        assignee=assignee,
        assignee_id=take_optional(payload, "data.assigned_to.id", int),
        attributes=None if is_deleted else take_optional(payload, "data.custom_attributes_values", dict),
        is_deleted=is_deleted,
    )


def finish_path(holder: str, kind: WorkKind) -> str:
    """Where the time of closing stands: user stories name it otherwise than tasks and issues."""
    name = "finish_date" if kind == "userstory" else "finished_date"
    return f"{holder}.{name}" if holder else name


def _is_closed(payload: Any, kind: WorkKind) -> bool:
    """By the status; a user story is also closed by its last task, whatever its status is (facts section 3)."""
    # A status that was deleted leaves null: such an item is open for Taiga too.
    has_status = take(payload, "data", dict).get("status", "") is not None
    by_status = has_status and take(payload, "data.status.is_closed", bool)
    return by_status or (kind == "userstory" and take(payload, "data.is_closed", bool))


def actor_id(payload: Any) -> int | None:
    """The Taiga user who did it; None when Taiga does not say."""
    by = payload.get("by") if isinstance(payload, dict) else None
    user_id = by.get("id") if isinstance(by, dict) else None
    return user_id if isinstance(user_id, int) and not isinstance(user_id, bool) else None


def is_own_echo(payload: Any, own_user_id: int, status_attribute: str) -> bool:
    """Whether this is only the answer to our own write-back: nothing but our attribute, a comment or an order changed.

    Anything else done by our user is taken seriously: a person may share the account with the bridge, and a change that
    others made silently turns up in the next event, whatever causes it (docs/facts/taiga.md section 2).
    """
    if actor_id(payload) != own_user_id or payload.get("action") != "change":
        return False
    change = payload.get("change")
    diff = change.get("diff") if isinstance(change, dict) else None
    if not isinstance(diff, dict):
        return False
    names = set(_changed_attributes(diff.get("custom_attributes")))
    return diff.keys() <= _HIDDEN_KEYS | {"custom_attributes"} and names <= {status_attribute}


def _changed_attributes(changes: Any) -> Iterator[str | None]:
    """The names of the attributes in a diff; None for what cannot be read."""
    groups = changes.values() if isinstance(changes, dict) else ([] if changes is None else [changes])
    for group in groups:
        for entry in group if isinstance(group, list) else [group]:
            name = entry.get("name") if isinstance(entry, dict) else None
            yield name if isinstance(name, str) else None
