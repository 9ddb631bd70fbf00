"""Work in Taiga and its custom attributes; frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

WorkKind = Literal["task", "userstory", "issue"]


@dataclass(frozen=True, slots=True)
class WorkItem:
    """A Taiga task, user story or issue as it is now (or as one webhook described it).

    `attributes` are the custom attribute values by display name; None when Taiga did not tell them (a delete event).
    `changed_at` and `finished_at` are aware UTC; a closed item may have no `finished_at`
    (docs/facts/taiga.md section 3.3). `assignee` is the user name, which its owner may change, `assignee_id` never
    changes.
    """

    kind: WorkKind
    id: int
    ref: int
    subject: str
    permalink: str
    project_id: int
    project_name: str
    is_closed: bool
    changed_at: datetime
    finished_at: datetime | None = None
    assignee: str | None = None
    assignee_id: int | None = None
    attributes: Mapping[str, Any] | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class AttributeDefinition:
    """A custom attribute of a Taiga project: values are keyed by `id` in REST and by `name` in webhooks."""

    id: int
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class AttributeValues:
    """The custom attribute values of one Taiga item, keyed by attribute id, with the version a PATCH must name."""

    version: int
    values: Mapping[str, Any] = field(default_factory=dict)
