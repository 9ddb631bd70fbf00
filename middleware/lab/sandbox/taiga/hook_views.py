"""Objects as webhooks show them: recorded key lists (docs/facts/taiga.md section 2)."""

from middleware.lab.sandbox.taiga import model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.template import POINTS
from middleware.lab.sandbox.taiga.text import iso


def permalink(state: TaigaState, item: model.Item) -> str:
    """The page of an item."""
    return f"{state.site}/project/{item.project.slug}/{item.segment}/{item.ref}"


def user(state: TaigaState, person: model.User) -> Json:
    """A person; never with an e-mail address."""
    return {
        "id": person.id,
        "permalink": f"{state.site}/profile/{person.username}",
        "username": person.username,
        "full_name": person.full_name,
        "photo": None,
        "gravatar_id": person.gravatar_id,
    }


def _maybe_user(state: TaigaState, person: model.User | None) -> Json | None:
    return None if person is None else user(state, person)


def project(state: TaigaState, place: model.Project) -> Json:
    """A project; its slug stands in the permalink only."""
    return {
        "id": place.id,
        "permalink": f"{state.site}/project/{place.slug}",
        "name": place.name,
        "logo_big_url": None,
    }


def milestone(state: TaigaState, sprint: model.Milestone) -> Json:
    """A sprint."""
    return {
        "id": sprint.id,
        "name": sprint.name,
        "slug": sprint.slug,
        "estimated_start": sprint.estimated_start,
        "estimated_finish": sprint.estimated_finish,
        "created_date": iso(sprint.created_date),
        "modified_date": iso(sprint.modified_date),
        "closed": sprint.closed,
        "disponibility": sprint.disponibility,
        "permalink": f"{state.site}/project/{sprint.project.slug}/taskboard/{sprint.slug}",
        "project": project(state, sprint.project),
        "owner": user(state, sprint.owner),
    }


def _maybe_milestone(state: TaigaState, sprint: model.Milestone | None) -> Json | None:
    return None if sprint is None else milestone(state, sprint)


def status(column: model.Status) -> Json:
    """A status with its `is_closed`."""
    shown: Json = {
        "id": column.id,
        "name": column.name,
        "slug": column.slug,
        "color": column.color,
        "is_closed": column.is_closed,
    }
    return shown | {"is_archived": column.is_archived} if column.kind == "userstory" else shown


def attribute_values(state: TaigaState, item: model.Item) -> Json | None:
    """Values by the attribute's name; null ones are left out; None when the item is deleted."""
    stored = state.values_of(item)
    if stored is None:
        return None
    if not stored.values:
        return {}
    named = {
        attribute.name: stored.values.get(str(attribute.id))
        for attribute in state.attributes_of(item.project, item.kind)
    }
    return {name: value for name, value in named.items() if value is not None}


def _deadline(item: model.Item) -> Json:
    return {"due_date": item.due_date, "due_date_reason": item.due_date_reason}


def _blocked_and_described(item: model.Item) -> Json:
    return {
        "watchers": sorted(item.watchers),
        "is_blocked": item.is_blocked,
        "blocked_note": item.blocked_note,
        "description": item.description,
        "tags": item.tags,
    }


def task(state: TaigaState, item: model.Task) -> Json:
    """A task, with its whole story.

    Raises:
        AttributeError: the task has no story: the bug of the real server (docs/facts/taiga.md section 3.1).
    """
    if item.user_story is None:
        raise AttributeError("'NoneType' object has no attribute 'id'")
    return {
        "custom_attributes_values": attribute_values(state, item),
        "id": item.id,
        "ref": item.ref,
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finished_date": iso(item.finished_date),
        **_deadline(item),
        "subject": item.subject,
        "us_order": item.us_order,
        "taskboard_order": item.taskboard_order,
        "is_iocaine": item.is_iocaine,
        "external_reference": item.external_reference,
        **_blocked_and_described(item),
        "permalink": permalink(state, item),
        "project": project(state, item.project),
        "owner": user(state, item.owner),
        "assigned_to": _maybe_user(state, item.assigned_to),
        "status": status(item.status),
        "user_story": story(state, item.user_story),
        "milestone": _maybe_milestone(state, item.milestone),
        "promoted_to": item.promoted_to,
    }


def story(state: TaigaState, item: model.Story) -> Json:
    """A user story; here the closing date is called `finish_date`."""
    return {
        "custom_attributes_values": attribute_values(state, item),
        "id": item.id,
        "ref": item.ref,
        "project": project(state, item.project),
        "is_closed": item.is_closed,
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finish_date": iso(item.finished_date),
        **_deadline(item),
        "subject": item.subject,
        "client_requirement": False,
        "team_requirement": False,
        "generated_from_issue": None,
        "generated_from_task": None,
        "from_task_ref": None,
        "external_reference": item.external_reference,
        "tribe_gig": None,
        **_blocked_and_described(item),
        "permalink": permalink(state, item),
        "owner": user(state, item.owner),
        "assigned_to": _maybe_user(state, item.assigned_to),
        "assigned_users": [] if item.assigned_to is None else [item.assigned_to.id],
        "points": _points(state, item.project),
        "status": status(item.status),
        "milestone": _maybe_milestone(state, item.milestone),
    }


def _points(state: TaigaState, place: model.Project) -> list[Json]:
    name, value = POINTS[0]
    return [
        {"role": role.name, "name": name, "value": value}
        for role in state.roles.values()
        if role.project_id == place.id and role.computable
    ]


def issue(state: TaigaState, item: model.Issue) -> Json:
    """An issue; it has no `is_closed` of its own."""
    return {
        "custom_attributes_values": attribute_values(state, item),
        "id": item.id,
        "ref": item.ref,
        "created_date": iso(item.created_date),
        "modified_date": iso(item.modified_date),
        "finished_date": iso(item.finished_date),
        **_deadline(item),
        "subject": item.subject,
        "external_reference": item.external_reference,
        "watchers": sorted(item.watchers),
        "description": item.description,
        "tags": item.tags,
        "permalink": permalink(state, item),
        "project": project(state, item.project),
        "milestone": _maybe_milestone(state, item.milestone),
        "owner": user(state, item.owner),
        "assigned_to": _maybe_user(state, item.assigned_to),
        "status": status(item.status),
        "type": _choice(item.type),
        "priority": _choice(item.priority),
        "severity": _choice(item.severity),
        "promoted_to": item.promoted_to,
    }


def _choice(choice: model.Choice) -> Json:
    return {"id": choice.id, "name": choice.name, "color": choice.color}


def view(state: TaigaState, item: model.Item) -> Json:
    """An item of any kind."""
    if isinstance(item, model.Task):
        return task(state, item)
    if isinstance(item, model.Story):
        return story(state, item)
    if isinstance(item, model.Issue):
        return issue(state, item)
    raise TypeError(f"no webhook shows a {type(item).__name__}")
