"""Taiga's projects and webhooks as the set-up and the checks see them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from mappings.taiga.models import AttributeDefinition, WorkKind

Row = Mapping[str, Any]

_ATTRIBUTE_LISTS: Mapping[WorkKind, str] = {
    "task": "task_custom_attributes",
    "userstory": "userstory_custom_attributes",
    "issue": "issue_custom_attributes",
}
_STATUS_LISTS: Mapping[WorkKind, str] = {"task": "task_statuses", "userstory": "us_statuses", "issue": "issue_statuses"}


@dataclass(frozen=True, slots=True)
class Status:
    """A status of a project; several of a kind may be closed."""

    id: int
    name: str
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A person of a project."""

    id: int
    username: str
    full_name: str


@dataclass(frozen=True, slots=True)
class TaigaProject:
    """A project; a list of projects tells only the first three, `i_am_admin`, `permissions` and no more.

    `permissions` are those of our user, None where Taiga does not say.
    """

    id: int
    slug: str
    name: str
    i_am_admin: bool = False
    permissions: frozenset[str] | None = None
    members: tuple[Member, ...] = ()
    statuses: Mapping[WorkKind, tuple[Status, ...]] = field(default_factory=dict)
    attributes: Mapping[WorkKind, tuple[AttributeDefinition, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook of a project; `key` is its secret, which Taiga shows to every project admin."""

    id: int
    project_id: int
    name: str
    url: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class WebhookLog:
    """One delivery as Taiga remembers it (the last ten of a hook). `status` 0: it was not sent, `error` says why."""

    id: int
    status: int
    created: str
    error: str


def read_project(row: Row) -> TaigaProject:
    """A row of GET /projects, or the whole of GET /projects/{id}."""
    return TaigaProject(
        id=int(row["id"]),
        slug=str(row.get("slug", "")),
        name=str(row.get("name", "")),
        i_am_admin=row.get("i_am_admin") is True,
        permissions=frozenset(map(str, allowed)) if isinstance(allowed := row.get("my_permissions"), list) else None,
        members=tuple(
            Member(int(member["id"]), str(member.get("username", "")), str(member.get("full_name", "")))
            for member in _objects(row.get("members"))
        ),
        statuses={
            kind: tuple(
                Status(int(status["id"]), str(status.get("name", "")), status.get("is_closed") is True)
                for status in _objects(row.get(name))
            )
            for kind, name in _STATUS_LISTS.items()
        },
        attributes={
            kind: tuple(read_definition(attribute) for attribute in _objects(row.get(name)))
            for kind, name in _ATTRIBUTE_LISTS.items()
        },
    )


def read_definition(row: Row) -> AttributeDefinition:
    """A custom attribute."""
    return AttributeDefinition(int(row["id"]), str(row.get("name", "")), str(row.get("type", "")))


def read_webhook(row: Row) -> Webhook:
    """A row of GET /webhooks."""
    return Webhook(
        int(row["id"]), int(row["project"]), str(row.get("name", "")), str(row.get("url", "")), str(row.get("key", ""))
    )


def read_webhook_log(row: Row) -> WebhookLog:
    """A row of GET /webhooklogs; the reason of a failure stands where the answer of the endpoint would."""
    status = int(row.get("status") or 0)
    error = "" if httpx.codes.is_success(status) else str(row.get("response_data", ""))
    return WebhookLog(int(row["id"]), status, str(row.get("created", "")), error)


def _objects(members: Any) -> list[Row]:
    rows = members if isinstance(members, list) else []
    return [row for row in rows if isinstance(row, Mapping)]
