"""What administrators adjust in a project: statuses and custom attributes of each kind of item."""

from collections.abc import Callable

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, model, setup, table_views
from middleware.lab.sandbox.taiga.http import Call, Handler, Reply, Resource, page_of
from middleware.lab.sandbox.taiga.routes_items import find_project
from middleware.lab.sandbox.taiga.state import TaigaState

_NAMES: dict[str, model.Kind] = {"task": "task", "userstory": "userstory", "issue": "issue"}
_TAKEN = "Already exists one with the same name."
_LONGEST_NAME = 64
_STATUS_FIELDS = ("name", "is_closed", "color", "order")
_ATTRIBUTE_FIELDS = ("name", "description", "type", "extra", "order")


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module: the same for each kind."""
    found = []
    for name, kind in _NAMES.items():
        bind = _binder(kind)
        statuses = Resource(state, GET=bind(list_statuses), POST=bind(create_status))
        status = Resource(state, PATCH=bind(patch_status), DELETE=bind(delete_status))
        attributes = Resource(state, GET=bind(list_attributes), POST=bind(create_attribute))
        attribute = Resource(state, GET=bind(get_attribute), PATCH=bind(patch_attribute), DELETE=bind(delete_attribute))
        found += [
            Route(f"/{name}-statuses", statuses),
            Route(f"/{name}-statuses/{{id:int}}", status),
            Route(f"/{name}-custom-attributes", attributes),
            Route(f"/{name}-custom-attributes/{{id:int}}", attribute),
        ]
    return found


def _binder(kind: model.Kind) -> Callable[[Callable[[Call, model.Kind], Reply]], Handler]:
    def bind(handler: Callable[[Call, model.Kind], Reply]) -> Handler:
        return lambda call: handler(call, kind)

    return bind


def _visible(call: Call, project_id: int) -> bool:
    project = call.state.projects[project_id]
    return call.query.get("project") in (None, str(project_id)) and bool(call.state.permissions(call.user, project))


def list_statuses(call: Call, kind: model.Kind) -> Reply:
    """The statuses of the projects that the user sees; `project` asks for one of them."""
    shown = [status for status in call.state.statuses[kind].values() if _visible(call, status.project_id)]
    return page_of(call, sorted(shown, key=lambda status: (status.project_id, status.order)), table_views.status)


def create_status(call: Call, kind: model.Kind) -> Reply:
    """A new status at the end."""
    body = call.json()
    project = find_project(call, body.get("project"))
    call.demand_admin(project)
    if not body.get("name"):
        raise errors.invalid(name="This field is required.")
    color = body.get("color") or "#999999"
    status = setup.add_status(
        call.state, project, kind, str(body["name"]), is_closed=bool(body.get("is_closed")), color=color
    )
    return Reply(table_views.status(status), 201)


def _find_status(call: Call, kind: model.Kind, key: int) -> model.Status:
    status = call.state.statuses[kind].get(key)
    if status is None:
        raise errors.not_found()
    call.demand_admin(call.state.projects[status.project_id])
    return status


def patch_status(call: Call, kind: model.Kind) -> Reply:
    """Change a status; closing it closes its items, silently and without a closing date."""
    status = _find_status(call, kind, call.path["id"])
    body = call.json()
    for name in _STATUS_FIELDS:
        if name in body:
            setattr(status, name, body[name])
    return Reply(table_views.status(status))


def delete_status(call: Call, kind: model.Kind) -> Reply:
    """Delete a status; `moveTo` names the one its items go to."""
    status = _find_status(call, kind, call.path["id"])
    target = call.query.get("moveTo", "")
    if not target.isdigit():
        raise errors.bad_request("Query param 'moveTo' is required")
    setup.delete_status(call.state, status, _find_status(call, kind, int(target)))
    return Reply(status=204)


def list_attributes(call: Call, kind: model.Kind) -> Reply:
    """The custom attributes of the projects that the user sees; `project` asks for one of them."""
    shown = [row for row in call.state.attributes[kind].values() if _visible(call, row.project_id)]
    return page_of(call, sorted(shown, key=lambda row: (row.project_id, row.order)), table_views.attribute)


def _refuse_name(call: Call, project: model.Project, kind: model.Kind, name: str) -> None:
    if len(name) > _LONGEST_NAME:
        raise errors.invalid(name=f"Ensure this value has at most {_LONGEST_NAME} characters (it has {len(name)}).")
    if any(attribute.name == name for attribute in call.state.attributes_of(project, kind)):
        raise errors.invalid(name=_TAKEN, project=_TAKEN)


def create_attribute(call: Call, kind: model.Kind) -> Reply:
    """A new custom attribute; its name is unique in the project."""
    body = call.json()
    project = find_project(call, body.get("project"))
    call.demand_admin(project)
    if not body.get("name"):
        raise errors.invalid(name="This field is required.")
    name = str(body["name"])
    _refuse_name(call, project, kind, name)
    given = {field: body[field] for field in _ATTRIBUTE_FIELDS if field in body and field != "name"}
    return Reply(table_views.attribute(setup.add_attribute(call.state, project, kind, name, **given)), 201)


def _find_attribute(call: Call, kind: model.Kind) -> model.Attribute:
    attribute = call.state.attributes[kind].get(call.path["id"])
    if attribute is None:
        raise errors.not_found()
    return attribute


def get_attribute(call: Call, kind: model.Kind) -> Reply:
    """One custom attribute."""
    attribute = _find_attribute(call, kind)
    call.demand(call.state.projects[attribute.project_id], "view_project")
    return Reply(table_views.attribute(attribute))


def patch_attribute(call: Call, kind: model.Kind) -> Reply:
    """Change a custom attribute; a new name is the key in webhooks from then on."""
    attribute = _find_attribute(call, kind)
    project = call.state.projects[attribute.project_id]
    call.demand_admin(project)
    body = call.json()
    if body.get("name", attribute.name) != attribute.name:
        _refuse_name(call, project, kind, str(body["name"]))
    for name in _ATTRIBUTE_FIELDS:
        if name in body:
            setattr(attribute, name, body[name])
    attribute.modified_date = call.state.now()
    return Reply(table_views.attribute(attribute))


def delete_attribute(call: Call, kind: model.Kind) -> Reply:
    """Remove a custom attribute and all its values."""
    attribute = _find_attribute(call, kind)
    call.demand_admin(call.state.projects[attribute.project_id])
    setup.delete_attribute(call.state, attribute)
    return Reply(status=204)
