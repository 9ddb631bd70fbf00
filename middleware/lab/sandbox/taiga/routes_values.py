"""Custom attribute values: one object per item, with a version of its own (docs/facts/taiga.md section 7)."""

from collections.abc import Callable

from starlette.routing import Route

from middleware.lab.sandbox.taiga import errors, fields, model, values
from middleware.lab.sandbox.taiga.http import Call, Handler, Reply, Resource
from middleware.lab.sandbox.taiga.routes_items import PATHS, permission_name
from middleware.lab.sandbox.taiga.state import TaigaState

_OWNERS: dict[model.Kind, str] = {"task": "task", "userstory": "user_story", "issue": "issue"}


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module: the same for each kind."""
    return [
        Route(f"/{path}/custom-attributes-values/{{id:int}}", _resource(state, item_class.kind))
        for path, item_class in PATHS.items()
    ]


def _resource(state: TaigaState, kind: model.Kind) -> Resource:
    def bind(handler: Callable[[Call, model.Kind], Reply]) -> Handler:
        return lambda call: handler(call, kind)

    return Resource(state, GET=bind(get), PATCH=bind(patch))


def _find(call: Call, kind: model.Kind, action: str) -> model.Item:
    item = call.state.items(kind).get(call.path["id"])
    if item is None:
        label = next(item_class.label for item_class in PATHS.values() if item_class.kind == kind)
        raise errors.no_match(f"{label}CustomAttributesValues")
    call.demand(item.project, permission_name(action, item))
    return item


def _show(item: model.Item, stored: model.AttributeValues) -> Reply:
    return Reply({"attributes_values": stored.values, "version": stored.version, _OWNERS[item.kind]: item.id})


def get(call: Call, kind: model.Kind) -> Reply:
    """The values by attribute id."""
    item = _find(call, kind, "view")
    return _show(item, call.state.values[kind, item.id])


def patch(call: Call, kind: model.Kind) -> Reply:
    """Replace all values; a stale version passes: last write wins, there is never a conflict."""
    body = call.json()
    item = _find(call, kind, "modify")
    stored = call.state.values[kind, item.id]
    wanted = body.get("attributes_values", stored.values)
    if not isinstance(wanted, dict):
        raise errors.invalid(attributes_values="Invalid format")
    fields.check_version(body, stored.version, lambda _: set())
    if body.get("comment"):
        # The mail code looks for a history that these objects do not have.
        raise errors.crashed()
    return _show(item, values.replace(call.state, call.member, item, wanted))
