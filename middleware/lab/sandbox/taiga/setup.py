"""What administrators make: accounts, projects, members, sprints, statuses, custom attributes, webhooks.

Nothing here sends a webhook, except for sprints. A status that an administrator closes closes its tasks silently
(docs/facts/taiga.md section 3.3).
"""

import hashlib
import uuid
from typing import Any

from middleware.lab.sandbox.taiga import events, model, template
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import free_slug, slugify

STANDARD_ATTRIBUTES: tuple[tuple[str, str, list[str] | None], ...] = (
    ("Billable", "checkbox", None),
    ("Duration (Hours)", "number", None),
    ("Hourly Rate", "number", None),
    ("Client Invoice ID", "text", None),
    ("Invoice Status", "dropdown", ["Not Billable", "Pending Invoice", "Invoiced"]),
)
"""The custom attributes that the bridge reads, with their types and options."""

_COLORS = ("#7131a0", "#e63366", "#40826d", "#c7510f", "#0f7ac7")
_NORMAL_PRIORITY, _NORMAL_SEVERITY = 1, 2


def add_user(
    state: TaigaState, username: str, full_name: str, *, password: str, email: str | None = None
) -> model.User:
    """Make an account; its e-mail address counts as verified."""
    user_id = state.next_id("user")
    email = email or f"{username}@example.com"
    user = model.User(
        id=user_id,
        username=username,
        full_name=full_name,
        email=email,
        password=password,
        color=_COLORS[user_id % len(_COLORS)],
        gravatar_id=hashlib.md5(email.encode(), usedforsecurity=False).hexdigest(),
        uuid=uuid.UUID(int=user_id).hex,
        date_joined=state.now(),
    )
    state.users[user_id] = user
    return user


def add_project(state: TaigaState, owner: model.User, name: str, description: str = "") -> model.Project:
    """Make a private Scrum project with `owner` as administrator (role Product Owner)."""
    project = model.Project(
        id=state.next_id("project"),
        name=name,
        slug=free_slug(slugify(name), {project.slug for project in state.projects.values()}),
        description=description or name,
        owner=owner,
        created_date=state.now(),
    )
    state.projects[project.id] = project
    _add_template(state, project)
    product_owner = next(role for role in roles_of(state, project) if role.slug == "product-owner")
    add_member(state, project, owner, product_owner, is_admin=True)
    return project


def _add_template(state: TaigaState, project: model.Project) -> None:
    for order, (name, slug, computable, permissions) in enumerate(template.ROLES, 1):
        role = model.Role(
            id=state.next_id("role"),
            project_id=project.id,
            name=name,
            slug=slug,
            order=order * 10,
            computable=computable,
            permissions=permissions,
        )
        state.roles[role.id] = role
    columns: tuple[tuple[model.Kind, tuple[tuple[str, bool, str], ...]], ...] = (
        ("task", template.TASK_STATUSES),
        ("userstory", template.STORY_STATUSES),
        ("issue", template.ISSUE_STATUSES),
    )
    for kind, statuses in columns:
        for name, is_closed, color in statuses:
            add_status(state, project, kind, name, is_closed=is_closed, color=color)
    for kind_of_choice, choices in (
        ("type", template.ISSUE_TYPES),
        ("priority", template.PRIORITIES),
        ("severity", template.SEVERITIES),
    ):
        _add_choices(state, project, kind_of_choice, choices)


def _add_choices(
    state: TaigaState, project: model.Project, kind: str, choices: tuple[tuple[str, int, str], ...]
) -> None:
    for name, order, color in choices:
        choice = model.Choice(id=state.next_id(kind), project_id=project.id, name=name, order=order, color=color)
        state.choices[kind][choice.id] = choice


def roles_of(state: TaigaState, project: model.Project) -> list[model.Role]:
    """The roles of a project."""
    return [role for role in state.roles.values() if role.project_id == project.id]


def choices_of(state: TaigaState, project: model.Project, kind: str) -> list[model.Choice]:
    """The issue types, priorities or severities of a project."""
    return [choice for choice in state.choices[kind].values() if choice.project_id == project.id]


def default_choice(state: TaigaState, project: model.Project, kind: str) -> model.Choice:
    """The type, priority or severity that a new issue gets."""
    place = {"type": 0, "priority": _NORMAL_PRIORITY, "severity": _NORMAL_SEVERITY}[kind]
    return choices_of(state, project, kind)[place]


def add_member(
    state: TaigaState,
    project: model.Project,
    user: model.User,
    role: model.Role,
    *,
    is_admin: bool = False,
    invited_by: model.User | None = None,
) -> model.Membership:
    """Make a user a member of a project."""
    membership = model.Membership(
        id=state.next_id("membership"),
        project=project,
        user=user,
        role=role,
        is_admin=is_admin,
        created_at=state.now(),
        invited_by=invited_by,
        user_order=len([place for place in state.memberships.values() if place.user is user]),
    )
    state.memberships[project.id, user.id] = membership
    return membership


def add_status(
    state: TaigaState,
    project: model.Project,
    kind: model.Kind,
    name: str,
    *,
    is_closed: bool = False,
    color: str = "#999999",
) -> model.Status:
    """Add a column at the end."""
    others = state.statuses_of(project, kind)
    status = model.Status(
        id=state.next_id(f"{kind}_status"),
        kind=kind,
        project_id=project.id,
        name=name,
        slug=free_slug(slugify(name), {other.slug for other in others}),
        order=len(others) + 1,
        is_closed=is_closed,
        color=color,
        is_archived=kind == "userstory" and name == "Archived",
    )
    state.statuses[kind][status.id] = status
    return status


def delete_status(state: TaigaState, status: model.Status, move_to: model.Status) -> None:
    """Delete a column; its items move without version, date or webhook."""
    for item in state.items(status.kind).values():
        if item.status is status:
            item.status = move_to
    del state.statuses[status.kind][status.id]


def add_attribute(
    state: TaigaState,
    project: model.Project,
    kind: model.Kind,
    name: str,
    **fields: Any,
) -> model.Attribute:
    """Define a custom attribute; `fields` are `type` (text), `extra`, `order` and `description`."""
    now = state.now()
    attribute = model.Attribute(
        id=state.next_id(f"{kind}_attribute"),
        kind=kind,
        project_id=project.id,
        name=name,
        type=fields.get("type") or "text",
        extra=fields.get("extra"),
        order=fields.get("order") or len(state.attributes_of(project, kind)) + 1,
        description=fields.get("description") or "",
        created_date=now,
        modified_date=now,
    )
    state.attributes[kind][attribute.id] = attribute
    return attribute


def delete_attribute(state: TaigaState, attribute: model.Attribute) -> None:
    """Remove a custom attribute and its values from all items, without any webhook."""
    del state.attributes[attribute.kind][attribute.id]
    for (kind, _), stored in state.values.items():
        if kind == attribute.kind:
            stored.values.pop(str(attribute.id), None)


def add_standard_attributes(state: TaigaState, project: model.Project) -> None:
    """Define the bridge's five attributes for tasks, stories and issues."""
    kinds: tuple[model.Kind, ...] = ("task", "userstory", "issue")
    for kind in kinds:
        for name, kind_of_value, options in STANDARD_ATTRIBUTES:
            add_attribute(state, project, kind, name, type=kind_of_value, extra=options)


def add_milestone(
    state: TaigaState, project: model.Project, owner: model.User, name: str, *, start: str, finish: str
) -> model.Milestone:
    """Plan a sprint between two ISO days."""
    now = state.now()
    others = [other for other in state.milestones.values() if other.project is project]
    milestone = model.Milestone(
        id=state.next_id("milestone"),
        project=project,
        name=name,
        slug=free_slug(slugify(name), {other.slug for other in others}),
        owner=owner,
        estimated_start=start,
        estimated_finish=finish,
        created_date=now,
        modified_date=now,
        order=len(others) + 1,
    )
    state.milestones[milestone.id] = milestone
    events.milestone_created(state, milestone, owner)
    return milestone


def add_webhook(state: TaigaState, project: model.Project, url: str, key: str, name: str = "hook") -> model.Webhook:
    """Tell an address about the events of a project."""
    hook = model.Webhook(id=state.next_id("webhook"), project=project, name=name, url=url, key=key)
    state.hooks[hook.id] = hook
    return hook
