"""Tasks, stories and issues: list, create, read, change, delete."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, fields, filters, model, rest_views, work
from middleware.lab.sandbox.taiga.http import Call, Handler, Reply, Resource, page_of
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import dump

PATHS: dict[str, type[model.Item]] = {"tasks": model.Task, "userstories": model.Story, "issues": model.Issue}

_ROWS: dict[model.Kind, Callable[..., Json]] = {
    "task": rest_views.task_row,
    "userstory": rest_views.story_row,
    "issue": rest_views.issue_row,
}
_DETAILS: dict[model.Kind, Callable[..., Json]] = {
    "task": rest_views.task_detail,
    "userstory": rest_views.story_detail,
    "issue": rest_views.issue_detail,
}
_CREATE: dict[model.Kind, Callable[..., model.Item]] = {
    "task": work.create_task,
    "userstory": work.create_story,
    "issue": work.create_issue,
}
_COMMENT_ONLY = frozenset({"comment", "version"})


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module: the same for each kind."""
    found = []
    for path, item_class in PATHS.items():
        for pattern, resource in _resources(state, item_class.kind).items():
            found.append(Route(f"/{path}{pattern}", resource))
    return found


def _resources(state: TaigaState, kind: model.Kind) -> dict[str, Resource]:
    def bind(handler: Callable[[Call, model.Kind], Reply]) -> Handler:
        return lambda call: handler(call, kind)

    return {
        "/{id:int}": Resource(state, GET=bind(get), PATCH=bind(patch), DELETE=bind(delete)),
        "": Resource(state, GET=bind(list_items), POST=bind(create)),
        "/by_ref": Resource(state, GET=bind(by_ref)),
    }


def unknown_word(_: Call) -> Reply:
    """The answer for `/tasks/anything`: a look-up by an id that is no number."""
    raise errors.not_found()


def find(call: Call, kind: model.Kind, item_id: int, permission: str) -> model.Item:
    """The item with this id, if the user may do this with it, e.g. `view` or `modify`.

    Raises:
        ApiError: 404 there is none; 401 or 403 the user may not.
    """
    item = call.state.items(kind).get(item_id)
    if item is None:
        raise errors.no_match(_class(kind).label)
    call.demand(item.project, permission_name(permission, item))
    return item


def permission_name(action: str, item: model.Item) -> str:
    """Taiga's name of a permission: `view_tasks` but `modify_task`."""
    plural = "s" if action == "view" and item.permission != "us" else ""
    return f"{action}_{item.permission}{plural}"


def _class(kind: model.Kind) -> type[model.Item]:
    return next(item_class for item_class in PATHS.values() if item_class.kind == kind)


def find_project(call: Call, key: Any) -> model.Project:
    """The project that a request names by id.

    Raises:
        ApiError: 400, it is missing, no number or unknown.
    """
    if key is None:
        raise errors.invalid(project="This field is required.")
    project = call.state.projects.get(int(key)) if str(key).isdigit() else None
    if project is None:
        raise errors.invalid(project=f"Invalid pk '{key}' - object does not exist.")
    return project


def show(call: Call, item: model.Item, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An item by itself."""
    return Reply(_DETAILS[item.kind](call.state, item, call.user), status, headers or {})


def get(call: Call, kind: model.Kind) -> Reply:
    """One item; its version, but none of its custom attributes."""
    item = find(call, kind, call.path["id"], "view")
    shown: Json = {**_DETAILS[kind](call.state, item, call.user)}
    if kind != "issue":
        shown["neighbors"] = {"next": _neighbor(call, item, 1), "previous": _neighbor(call, item, -1)}
    return Reply(shown)


def _neighbor(call: Call, item: model.Item, step: int) -> Json | None:
    other = call.state.items(item.kind).get(item.id + step)
    if other is None or other.project is not item.project:
        return None
    return {"id": other.id, "ref": other.ref, "subject": other.subject}


def by_ref(call: Call, kind: model.Kind) -> Reply:
    """One item by `ref` and `project` (id) or `project__slug`."""
    wanted, place, slug = (call.query.get(name) for name in ("ref", "project", "project__slug"))
    for item in call.state.items(kind).values():
        if str(item.ref) == wanted and (str(item.project.id) == place or item.project.slug == slug):
            return get(Call(call.state, call.user, {"id": item.id}, call.query, call.headers, b"", call.url), kind)
    raise errors.no_match(_class(kind).label)


def list_items(call: Call, kind: model.Kind) -> Reply:
    """A page of the items that the user may see."""
    shown = filters.visible(call.state, call.user, call.state.items(kind).values())
    row = _ROWS[kind]
    return page_of(call, filters.choose(shown, call.query), lambda item: row(call.state, item, call.user))


def create(call: Call, kind: model.Kind) -> Reply:
    """A new item."""
    body = call.json()
    user = call.member
    project = find_project(call, body.get("project"))
    call.demand(project, f"add_{_class(kind).permission}")
    values = fields.read_new(call.state, project, kind, body)
    fields.note_tag_colors(project, body)
    return show(call, _CREATE[kind](call.state, user, project, values), 201)


def patch(call: Call, kind: model.Kind) -> Reply:
    """A change; `version` is required; a comment alone needs the right to comment only."""
    body = call.json()
    comment_only = body.keys() <= _COMMENT_ONLY and "comment" in body
    item = find(call, kind, call.path["id"], "comment" if comment_only else "modify")
    state = call.state
    target = _target(call, item, body)
    values = fields.read(state, target, kind, body)
    fields.check_version(body, item.version, lambda behind: fields.changed_fields(state, item, behind))
    if target is not item.project:
        values["project"] = target
    fields.note_tag_colors(target, body)
    moved = work.change(state, call.member, item, values, str(body.get("comment") or ""))
    orders = dump({str(task_id): order for task_id, order in moved.items()})
    return show(call, item, headers={} if kind == "issue" else {"Taiga-Info-Order-Updated": orders})


def _target(call: Call, item: model.Item, body: Json) -> model.Project:
    """The project an item moves to; status, sprint and story of the old one are replaced in `body`."""
    key = body.get("project", item.project.id)
    if key == item.project.id or not isinstance(item, model.Task):
        return item.project
    target = find_project(call, key)
    call.demand(item.project, permission_name("delete", item))
    call.demand(target, permission_name("add", item))
    body["status"] = _same_status(call.state, item.project, target, body.get("status", item.status.id)).id
    for name, table in (("milestone", call.state.milestones), ("user_story", call.state.stories)):
        row: Any = table.get(body.get(name) or 0)
        body[name] = row.id if row is not None and row.project is target else None
    return target


def _same_status(state: TaigaState, old: model.Project, new: model.Project, key: Any) -> model.Status:
    columns = state.statuses_of(new, "task")
    status = state.statuses["task"].get(key)
    if status is None or status.project_id != old.id:
        return columns[0]
    return next((column for column in columns if column.slug == status.slug), columns[0])


def delete(call: Call, kind: model.Kind) -> Reply:
    """Remove an item; a story takes its tasks along."""
    item = find(call, kind, call.path["id"], "delete")
    work.delete(call.state, call.member, item)
    return Reply(status=204)
