"""The history of an item and its comments (docs/facts/taiga.md section 7)."""

from collections.abc import Callable

from starlette.routing import Route

from middleware.lab.sandbox.taiga import comments, errors, model, table_views
from middleware.lab.sandbox.taiga.http import Call, Handler, Reply, Resource, page_headers, page_of
from middleware.lab.sandbox.taiga.routes_items import find
from middleware.lab.sandbox.taiga.state import TaigaState

_KINDS: tuple[model.Kind, ...] = ("task", "userstory", "issue")


def routes(state: TaigaState) -> list[Route]:
    """The paths of this module: the same for each kind."""
    found = []
    for kind in _KINDS:
        bind = _binder(kind)
        path = f"/history/{kind}/{{id:int}}"
        found += [
            Route(path, Resource(state, GET=bind(get_history))),
            Route(f"{path}/edit_comment", Resource(state, POST=bind(edit_comment))),
            Route(f"{path}/delete_comment", Resource(state, POST=bind(delete_comment))),
            Route(f"{path}/undelete_comment", Resource(state, POST=bind(undelete_comment))),
        ]
    return found


def _binder(kind: model.Kind) -> Callable[[Callable[[Call, model.Kind], Reply]], Handler]:
    def bind(handler: Callable[[Call, model.Kind], Reply]) -> Handler:
        return lambda call: handler(call, kind)

    return bind


def get_history(call: Call, kind: model.Kind) -> Reply:
    """Changes, newest first; all of them unless `page` is given. `type` is `comment` or `activity`."""
    item = find(call, kind, call.path["id"], "view")
    entries = [entry for entry in call.state.histories[kind, item.id].entries if not entry.hidden][::-1]
    wanted = call.query.get("type")
    if wanted == "comment":
        entries = [entry for entry in entries if entry.comment]
    elif wanted == "activity":
        entries = [entry for entry in entries if entry.diff]
    if "page" in call.query:
        return page_of(call, entries, table_views.history_entry)
    return Reply([table_views.history_entry(entry) for entry in entries], headers=page_headers(len(entries)))


def _entry(call: Call, kind: model.Kind) -> tuple[model.Item, model.HistoryEntry]:
    item = find(call, kind, call.path["id"], "view")
    entry = comments.find(call.state, item, call.query.get("id", ""))
    membership = call.state.membership(call.user, item.project)
    if entry.user is not call.member and not (membership is not None and membership.is_admin):
        raise errors.forbidden()
    return item, entry


def edit_comment(call: Call, kind: model.Kind) -> Reply:
    """A new text for a comment of one's own; `id` is the entry."""
    item, entry = _entry(call, kind)
    comment = call.json().get("comment")
    if comment is None:
        raise errors.bad_request("comment is required")
    comments.edit(call.state, item, call.member, entry, str(comment))
    return Reply()


def delete_comment(call: Call, kind: model.Kind) -> Reply:
    """Hide a comment of one's own."""
    item, entry = _entry(call, kind)
    comments.delete(call.state, item, call.member, entry)
    return Reply()


def undelete_comment(call: Call, kind: model.Kind) -> Reply:
    """Show a hidden comment of one's own again."""
    item, entry = _entry(call, kind)
    comments.undelete(call.state, item, entry)
    return Reply()
