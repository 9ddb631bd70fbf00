"""What Taiga's REST answers say about a task, user story or issue (shapes: docs/facts/taiga.md section 7)."""

from collections.abc import Mapping
from typing import Any

from mappings.taiga.models import WorkItem, WorkKind
from mappings.taiga.webhook import finish_path
from mappings.values.fields import take, take_id, take_optional, take_optional_time, take_time
from mappings.values.text import one_line

_PAGES: Mapping[WorkKind, str] = {"task": "task", "userstory": "us", "issue": "issue"}


def read_rest(kind: WorkKind, item: Any, values_by_name: Mapping[str, Any], *, front: str = "") -> WorkItem:
    """The item of GET /tasks/{id}, /userstories/{id} or /issues/{id}.

    Args:
        kind: what was asked for; the answer does not say it.
        item: the decoded answer.
        values_by_name: its custom attribute values, which come in an answer of their own, by display name.
        front: the address of Taiga's web pages (`https://taiga.example`), for the permalink; "" for none.

    Raises:
        NotUnderstood: the answer is of another shape.
    """
    assignee = take_optional(item, "assigned_to_extra_info.username", str)
    return WorkItem(
        kind=kind,
        id=take_id(item, "id"),
        ref=take(item, "ref", int),
        subject=one_line(take(item, "subject", str)),
        permalink=_permalink(kind, item, front),
        project_id=take_id(item, "project"),
        project_name=one_line(take_optional(item, "project_extra_info.name", str) or ""),
        is_closed=_is_closed(item),
        changed_at=take_time(item, "modified_date"),
        finished_at=take_optional_time(item, finish_path("", kind)),
        assignee=assignee,
        assignee_id=take_optional(item, "assigned_to", int),
        attributes=values_by_name,
    )


def _is_closed(item: Any) -> bool:
    """The same answer as from a webhook: by the status, or, of a user story, by its last task."""
    has_status = item.get("status_extra_info", "") is not None
    by_status = has_status and take(item, "status_extra_info.is_closed", bool)
    return by_status or (take_optional(item, "is_closed", bool) or False)


def _permalink(kind: WorkKind, item: Any, front: str) -> str:
    slug = take_optional(item, "project_extra_info.slug", str)
    if not front or not slug:
        return ""
    return f"{front.rstrip('/')}/project/{one_line(slug)}/{_PAGES[kind]}/{take(item, 'ref', int)}"
