"""Tasks, stories and issues as the REST API shows them: recorded key lists (docs/facts/taiga.md section 7)."""

from datetime import date

from middleware.lab.sandbox.taiga import model, template
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso, markdown

_DUE_SOON_DAYS = 14


def user_info(person: model.User | None) -> Json | None:
    """A person as `owner_extra_info` and the like show it."""
    if person is None:
        return None
    return {
        "username": person.username,
        "full_name_display": person.full_name,
        "photo": None,
        "big_photo": None,
        "gravatar_id": person.gravatar_id,
        "is_active": True,
        "id": person.id,
    }


def project_info(project: model.Project) -> Json:
    """A project as `project_extra_info` shows it."""
    return {"name": project.name, "slug": project.slug, "logo_small_url": None, "id": project.id}


def _id(row: model.User | model.Milestone | model.Story | None) -> int | None:
    return None if row is None else row.id


def _due(state: TaigaState, item: model.Item) -> Json:
    return {
        "due_date": item.due_date,
        "due_date_reason": item.due_date_reason,
        "due_date_status": _due_status(state, item),
    }


def _due_status(state: TaigaState, item: model.Item) -> str:
    if item.due_date is None:
        return "not_set"
    if item.status.is_closed:
        return "no_longer_applicable"
    days = (date.fromisoformat(item.due_date) - state.now().date()).days
    if days < 0:
        return "past_due"
    return "due_soon" if days < _DUE_SOON_DAYS else "set"


def _comments(state: TaigaState, item: model.Item) -> int:
    entries = state.histories[item.kind, item.id].entries
    return sum(1 for entry in entries if entry.comment and entry.delete_comment_date is None)


def _tags(item: model.Item) -> list[list[str | None]]:
    return [[tag, item.project.tags.get(tag)] for tag in item.tags]


def _status(item: model.Item) -> Json:
    status = item.status
    info = {"name": status.name, "color": status.color, "is_closed": status.is_closed}
    return {"status": status.id, "status_extra_info": info}


def _people(item: model.Item, viewer: model.User | None) -> Json:
    return {
        "assigned_to": _id(item.assigned_to),
        "assigned_to_extra_info": user_info(item.assigned_to),
        "owner": item.owner.id,
        "owner_extra_info": user_info(item.owner),
        "is_watcher": viewer is not None and viewer.id in item.watchers,
        "total_watchers": len(item.watchers),
        "is_voter": False,
        "total_voters": 0,
    }


def _project(item: model.Item) -> Json:
    return {"project": item.project.id, "project_extra_info": project_info(item.project)}


def _head(state: TaigaState, item: model.Item) -> Json:
    return {**_due(state, item), "total_comments": _comments(state, item), "tags": _tags(item), "attachments": []}


def _milestone(item: model.Item) -> Json:
    sprint = item.milestone
    return {"milestone": _id(sprint), "milestone_slug": None if sprint is None else sprint.slug}


def _tail(item: model.Item) -> Json:
    return {
        "version": item.version,
        "watchers": sorted(item.watchers),
        "is_blocked": item.is_blocked,
        "blocked_note": item.blocked_note,
    }


def _texts(item: model.Item) -> Json:
    return {
        "blocked_note_html": markdown(item.blocked_note),
        "description": item.description,
        "description_html": markdown(item.description),
    }


def task_row(state: TaigaState, item: model.Task, viewer: model.User | None) -> Json:
    """A task in a list: without description; custom attributes are nowhere in it."""
    story = item.user_story
    story_info = None if story is None else {"id": story.id, "ref": story.ref, "subject": story.subject, "epics": None}
    return {
        **_head(state, item),
        **_project(item),
        **_status(item),
        **_people(item, viewer),
        "id": item.id,
        "user_story": _id(story),
        "ref": item.ref,
        **_milestone(item),
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finished_date": iso(item.finished_date),
        "subject": item.subject,
        "us_order": item.us_order,
        "taskboard_order": item.taskboard_order,
        "is_iocaine": item.is_iocaine,
        "external_reference": item.external_reference,
        **_tail(item),
        "is_closed": item.status.is_closed,
        "user_story_extra_info": story_info,
    }


def task_detail(state: TaigaState, item: model.Task, viewer: model.User | None) -> Json:
    """A task by itself."""
    return {
        **task_row(state, item, viewer),
        "comment": "",
        "generated_user_stories": None,
        **_texts(item),
    }


def story_row(state: TaigaState, item: model.Story, viewer: model.User | None) -> Json:
    """A user story in a list."""
    sprint = item.milestone
    roles = [role for role in state.roles.values() if role.project_id == item.project.id and role.computable]
    no_points = (item.project.id - 1) * len(template.POINTS) + 1
    return {
        **_head(state, item),
        **_status(item),
        **_people(item, viewer),
        **_project(item),
        "id": item.id,
        "ref": item.ref,
        **_milestone(item),
        "milestone_name": None if sprint is None else sprint.name,
        "is_closed": item.is_closed,
        "points": {str(role.id): no_points for role in roles},
        "backlog_order": item.backlog_order,
        "sprint_order": item.sprint_order,
        "kanban_order": item.kanban_order,
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finish_date": iso(item.finished_date),
        "subject": item.subject,
        **_story_origins(item),
        **_tail(item),
        "total_points": None,
        "comment": "",
        "origin_issue": None,
        "origin_task": None,
        "epics": None,
        "epic_order": None,
        "tasks": [],
        "total_attachments": 0,
        "swimlane": None,
        "assigned_users": [] if item.assigned_to is None else [item.assigned_to.id],
    }


def _story_origins(item: model.Story) -> Json:
    return {
        "client_requirement": False,
        "team_requirement": False,
        "generated_from_issue": None,
        "generated_from_task": None,
        "from_task_ref": None,
        "external_reference": item.external_reference,
        "tribe_gig": None,
    }


def story_detail(state: TaigaState, item: model.Story, viewer: model.User | None) -> Json:
    """A user story by itself."""
    return {**story_row(state, item, viewer), **_texts(item)}


def issue_row(state: TaigaState, item: model.Issue, viewer: model.User | None) -> Json:
    """An issue in a list."""
    return {
        **_head(state, item),
        **_status(item),
        **_people(item, viewer),
        **_project(item),
        "id": item.id,
        "ref": item.ref,
        "severity": item.severity.id,
        "priority": item.priority.id,
        "type": item.type.id,
        **_milestone(item),
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finished_date": iso(item.finished_date),
        "subject": item.subject,
        "external_reference": item.external_reference,
        **_tail(item),
        "is_closed": item.status.is_closed,
    }


def issue_detail(state: TaigaState, item: model.Issue, viewer: model.User | None) -> Json:
    """An issue by itself."""
    return {**issue_row(state, item, viewer), "comment": "", "generated_user_stories": None, **_texts(item)}
