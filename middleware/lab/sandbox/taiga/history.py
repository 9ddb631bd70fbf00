"""The history of an item: differences to its last snapshot, comments, and the webhooks they cause.

A difference is taken to the last snapshot, not to the last request: silent changes of others turn up in the next
event, under the next person's name (docs/facts/taiga.md section 2, `change`).
"""

import uuid
from typing import Any

from middleware.lab.sandbox.taiga import errors, events, model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState
from middleware.lab.sandbox.taiga.text import iso, markdown, text_difference

HIDDEN_FIELDS = frozenset({"us_order", "taskboard_order", "backlog_order", "sprint_order", "kanban_order"})
"""A change of nothing but these makes no event."""

_TEXTS = ("description", "blocked_note")
_RAW_TYPES = ("number", "checkbox")
_PLAIN = ("subject", "description", "due_date", "is_blocked", "blocked_note")
_OWN: dict[model.Kind, tuple[str, ...]] = {
    "task": ("is_iocaine", "us_order", "taskboard_order"),
    "userstory": ("is_closed", "backlog_order", "sprint_order", "kanban_order"),
    "issue": (),
}
_RELATIONS = ("status", "assigned_to", "milestone", "user_story", "type", "priority", "severity")


def snapshot(state: TaigaState, item: model.Item) -> Json:
    """How an item looks now, with ids for what it refers to."""
    frozen: Json = {name: getattr(item, name) for name in (*_PLAIN, *_OWN[item.kind])}
    for name in _RELATIONS:
        related = getattr(item, name, None)
        frozen[name] = None if related is None else related.id
    for name in _TEXTS:
        frozen[f"{name}_html"] = markdown(frozen[name])
    frozen["tags"] = list(item.tags)
    if item.kind == "userstory":
        frozen["finish_date"] = str(item.finished_date)
    frozen["custom_attributes"] = _attributes(state, item)
    return frozen


def _attributes(state: TaigaState, item: model.Item) -> list[Json]:
    stored = state.values_of(item)
    if stored is None or not stored.values:
        return []
    return [
        {
            "id": attribute.id,
            "name": attribute.name,
            "type": attribute.type,
            "value": stored.values[str(attribute.id)],
        }
        for attribute in state.attributes_of(item.project, item.kind)
        if str(attribute.id) in stored.values
    ]


def begin(state: TaigaState, item: model.Item) -> None:
    """Start the history of a new item; its creation is no entry."""
    state.histories[item.kind, item.id] = model.History(snapshot(state, item))


def record(state: TaigaState, item: model.Item, by: model.User, comment: str = "") -> None:
    """Add what changed since the last entry, and send it, unless nothing did or only the order on a board.

    Raises:
        ApiError: 500 when a webhook crashes; what changed stays changed.
    """
    history = state.histories[item.kind, item.id]
    entry = _entry(state, item, history, by, comment)
    if entry is None:
        return
    history.snapshot = snapshot(state, item)
    history.entries.append(entry)
    if not entry.hidden:
        events.item_event(state, "change", item, by, change_of(entry))


def _entry(
    state: TaigaState, item: model.Item, history: model.History, by: model.User, comment: str
) -> model.HistoryEntry | None:
    old, new = history.snapshot, snapshot(state, item)
    diff = {name: [old[name], new[name]] for name in new if old[name] != new[name]}
    if not diff and not comment:
        return None
    return model.HistoryEntry(
        id=str(uuid.UUID(int=state.next_id("history"))),
        user=by,
        created_at=state.event_date(),
        key=f"{item.history_key}:{item.id}",
        diff=diff,
        values_diff=_named_diff(state, item, diff),
        names=_names(state, item, diff),
        comment=comment,
        hidden=not comment and diff.keys() <= HIDDEN_FIELDS,
    )


def check_values(state: TaigaState, item: model.Item) -> None:
    """Refuse attribute values whose difference the real server cannot compute.

    Raises:
        ApiError: 500, something else than text in a text attribute.
    """
    old = state.histories[item.kind, item.id].snapshot["custom_attributes"]
    _attributes_diff(old, _attributes(state, item))


def _named_diff(state: TaigaState, item: model.Item, diff: Json) -> Json:
    named: Json = {}
    for name, (old, new) in diff.items():
        if name == "custom_attributes":
            named[name] = _attributes_diff(old, new)
        elif name in _TEXTS:
            named[f"{name}_diff"] = [None, text_difference(old, new)]
        elif name in _RELATIONS:
            named[name] = [_name(state, item, name, old), _name(state, item, name, new)]
        else:
            named[name] = [old, new]
    return named


def _names(state: TaigaState, item: model.Item, diff: Json) -> Json:
    names: Json = {"users": {}}
    for field in diff.keys() & set(_RELATIONS):
        found = {str(key): _name(state, item, field, key) for key in diff[field] if key is not None}
        names["users" if field == "assigned_to" else field] = found
    return names


def _name(state: TaigaState, item: model.Item, field: str, key: int | None) -> str | None:
    if key is None:
        return None
    if field == "user_story":
        story = state.stories.get(key)
        return None if story is None else f"#{story.ref} {story.subject}"
    if field == "assigned_to":
        return state.users[key].full_name
    tables: dict[str, Any] = {"status": state.statuses[item.kind], "milestone": state.milestones, **state.choices}
    row = tables[field].get(key)
    return None if row is None else str(row.name)


def _attributes_diff(old: list[Json], new: list[Json]) -> Json:
    before = {entry["id"]: entry for entry in old}
    after = {entry["id"]: entry for entry in new}
    return {
        "new": [
            {**entry, "value_diff": _value_diff(entry, None, entry["value"])}
            for key, entry in after.items()
            if key not in before
        ],
        "changed": [
            _changed(before[key], entry) for key, entry in after.items() if key in before and before[key] != entry
        ],
        "deleted": [entry for key, entry in before.items() if key not in after],
    }


def _changed(old: Json, new: Json) -> Json:
    changes = {key: [old[key], new[key]] for key in ("name", "value", "type") if old[key] != new[key]}
    value_diff = _value_diff(new, old["value"], new["value"])
    return {"name": new["name"], "changes": changes, "type": new["type"], "value_diff": value_diff}


def _value_diff(entry: Json, old: Any, new: Any) -> Any:
    if entry["type"] in _RAW_TYPES:
        return [old, new]
    texts = ["" if value is None else value for value in (old, new)]
    if not all(isinstance(text, str) for text in texts):
        raise errors.crashed()
    return text_difference(*texts)


def change_of(entry: model.HistoryEntry) -> Json:
    """The `change` of a webhook: an edited or deleted comment repeats the original difference."""
    return {
        "comment": entry.comment,
        "comment_html": markdown(entry.comment),
        "delete_comment_date": iso(entry.delete_comment_date),
        "comment_versions": entry.comment_versions,
        "edit_comment_date": iso(entry.edit_comment_date),
        "diff": {name: _hook_diff(name, value) for name, value in entry.values_diff.items()},
    }


def _hook_diff(name: str, value: Any) -> Any:
    if name == "custom_attributes":
        return value
    if name == "description_diff":
        return "Check the history API for the exact diff"
    return {"from": value[0], "to": value[1]}
