"""Projects as the REST API shows them: recorded key lists (docs/facts/taiga.md section 7)."""

from typing import Any

from middleware.lab.sandbox.taiga import model, setup, template
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.rest_views import user_info
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso, iso_in_project

_NOTIFY_INVOLVED = 1


def project_row(state: TaigaState, project: model.Project, viewer: model.User | None) -> Json:
    """A project in a list: members are ids."""
    members: list[Any] = [place.user.id for place in state.members_of(project)]
    return _project(state, project, viewer, members)


def project_detail(state: TaigaState, project: model.Project, viewer: model.User | None) -> Json:
    """A project by itself, with statuses, attributes, members, roles and sprints."""
    members: list[Any] = [_member(place) for place in state.members_of(project)]
    milestones = [sprint for sprint in state.milestones.values() if sprint.project is project]
    return {
        **_project(state, project, viewer, members),
        "epic_statuses": _epic_statuses(project),
        "swimlanes": None,
        "us_statuses": [_story_status(status) for status in state.statuses_of(project, "userstory")],
        "us_duedates": _due_dates(project),
        "points": _points(project),
        "task_statuses": [_plain_status(status) for status in state.statuses_of(project, "task")],
        "task_duedates": _due_dates(project),
        "issue_statuses": [_plain_status(status) for status in state.statuses_of(project, "issue")],
        "issue_types": _choices(state, project, "type"),
        "issue_duedates": _due_dates(project),
        "priorities": _choices(state, project, "priority"),
        "severities": _choices(state, project, "severity"),
        "epic_custom_attributes": None,
        "userstory_custom_attributes": _attributes(state, project, "userstory"),
        "task_custom_attributes": _attributes(state, project, "task"),
        "issue_custom_attributes": _attributes(state, project, "issue"),
        "roles": [_role(role) for role in setup.roles_of(state, project)],
        "total_memberships": len(members),
        **template.PROJECT_ADMIN_TAIL,
        "milestones": [
            {"id": sprint.id, "slug": sprint.slug, "name": sprint.name, "closed": sprint.closed}
            for sprint in milestones
        ],
    }


def _project(state: TaigaState, project: model.Project, viewer: model.User | None, members: list[Any]) -> Json:
    own = state.membership(viewer, project)
    activity = project.next_ref
    return {
        "id": project.id,
        "name": project.name,
        "slug": project.slug,
        "description": project.description,
        "created_date": iso(project.created_date),
        "modified_date": iso(project.created_date),
        "owner": user_info(project.owner),
        "members": members,
        **template.PROJECT_FLAGS,
        "is_private": project.is_private,
        **template.PROJECT_PUBLICITY,
        "totals_updated_datetime": iso(project.created_date),
        **template.PROJECT_FANS,
        **dict.fromkeys(("total_activity", "total_activity_last_week"), activity),
        **dict.fromkeys(("total_activity_last_month", "total_activity_last_year"), activity),
        "tags": [],
        "tags_colors": dict(project.tags),
        **_defaults(state, project),
        "my_permissions": sorted(state.permissions(viewer, project)),
        "i_am_owner": viewer is project.owner,
        "i_am_admin": own is not None and own.is_admin,
        "i_am_member": own is not None,
        "notify_level": None if own is None else _NOTIFY_INVOLVED,
        "total_closed_milestones": sum(
            sprint.closed for sprint in state.milestones.values() if sprint.project is project
        ),
        "is_watcher": own is not None,
        "total_watchers": len(members),
        "logo_small_url": None,
        "logo_big_url": None,
        "is_fan": False,
        "my_homepage": False,
    }


def _defaults(state: TaigaState, project: model.Project) -> Json:
    return {
        "default_epic_status": (project.id - 1) * len(template.EPIC_STATUSES) + 1,
        "default_points": (project.id - 1) * len(template.POINTS) + 1,
        "default_us_status": state.statuses_of(project, "userstory")[0].id,
        "default_task_status": state.statuses_of(project, "task")[0].id,
        "default_priority": setup.default_choice(state, project, "priority").id,
        "default_severity": setup.default_choice(state, project, "severity").id,
        "default_issue_status": state.statuses_of(project, "issue")[0].id,
        "default_issue_type": setup.default_choice(state, project, "type").id,
        "default_swimlane": None,
    }


def _member(place: model.Membership) -> Json:
    return {
        "role": place.role.id,
        "role_name": place.role.name,
        "full_name": place.user.full_name,
        "full_name_display": place.user.full_name,
        "is_active": True,
        "id": place.user.id,
        "color": place.user.color,
        "username": place.user.username,
        "photo": None,
        "gravatar_id": place.user.gravatar_id,
    }


def _plain_status(status: model.Status) -> Json:
    return {
        "id": status.id,
        "name": status.name,
        "order": status.order,
        "is_closed": status.is_closed,
        "color": status.color,
        "project_id": status.project_id,
        "slug": status.slug,
    }


def _story_status(status: model.Status) -> Json:
    return {**_plain_status(status), "wip_limit": None, "is_archived": status.is_archived}


def _epic_statuses(project: model.Project) -> list[Json]:
    first = (project.id - 1) * len(template.EPIC_STATUSES)
    return [
        {
            "id": first + order,
            "name": name,
            "slug": name.lower().replace(" ", "-"),
            "order": order,
            "is_closed": is_closed,
            "color": color,
            "project_id": project.id,
        }
        for order, (name, is_closed, color) in enumerate(template.EPIC_STATUSES, 1)
    ]


def _due_dates(project: model.Project) -> list[Json]:
    first = (project.id - 1) * len(template.DUE_DATES)
    return [
        {
            "id": first + order,
            "name": name,
            "order": order,
            "by_default": by_default,
            "color": color,
            "days_to_due": days,
            "project_id": project.id,
        }
        for order, (name, by_default, color, days) in enumerate(template.DUE_DATES, 1)
    ]


def _points(project: model.Project) -> list[Json]:
    first = (project.id - 1) * len(template.POINTS)
    return [
        {"id": first + order, "name": name, "order": order, "value": value, "project_id": project.id}
        for order, (name, value) in enumerate(template.POINTS, 1)
    ]


def _choices(state: TaigaState, project: model.Project, kind: str) -> list[Json]:
    return [
        {
            "id": choice.id,
            "name": choice.name,
            "order": choice.order,
            "color": choice.color,
            "project_id": choice.project_id,
        }
        for choice in setup.choices_of(state, project, kind)
    ]


def _attributes(state: TaigaState, project: model.Project, kind: model.Kind) -> list[Json] | None:
    shown = [
        {
            "id": attribute.id,
            "name": attribute.name,
            "description": attribute.description,
            "order": attribute.order,
            "created_date": iso_in_project(attribute.created_date),
            "modified_date": iso_in_project(attribute.modified_date),
            "project_id": attribute.project_id,
            "type": attribute.type,
            "extra": attribute.extra,
        }
        for attribute in state.attributes_of(project, kind)
    ]
    return shown or None


def _role(role: model.Role) -> Json:
    return {
        "id": role.id,
        "name": role.name,
        "slug": role.slug,
        "permissions": sorted(role.permissions),
        "order": role.order,
        "computable": role.computable,
        "project_id": role.project_id,
    }
