"""Reads what clients send for tasks, stories and issues: ids become objects, wrong types become Taiga's messages.

Unknown fields are ignored silently, `custom_attributes_values` among them (docs/facts/taiga.md section 0).
"""

from collections.abc import Callable
from typing import Any

from middleware.lab.sandbox.taiga import errors, model
from middleware.lab.sandbox.taiga.model import Json
from middleware.lab.sandbox.taiga.state import TaigaState

Reader = Callable[[TaigaState, model.Project, Any], Any]

_REQUIRED = "This field is required."


class _Wrong(Exception):
    """One field has a wrong value; the text is the message for it."""


def _text(_: TaigaState, __: model.Project, value: Any) -> str:
    return "" if value is None else str(value)


def _required_text(_: TaigaState, __: model.Project, value: Any) -> str:
    if value is None or str(value) == "":
        raise _Wrong(_REQUIRED)
    return str(value)


def _as_it_is(_: TaigaState, __: model.Project, value: Any) -> Any:
    return value


def _yes_or_no(_: TaigaState, __: model.Project, value: Any) -> bool:
    return value in (True, "true", "True", "t", "1", 1)


def _whole(_: TaigaState, __: model.Project, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _Wrong("Enter a whole number.") from None


def _tags(_: TaigaState, __: model.Project, value: Any) -> list[str]:
    # Reading a task gives pairs of name and colour, so clients write both forms.
    return [str(tag[0] if isinstance(tag, list) else tag).lower() for tag in value or []]


def _people(_: TaigaState, __: model.Project, value: Any) -> set[int]:
    return {int(user_id) for user_id in value or []}


def _key(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise _Wrong(f"Incorrect type. Expected pk value, received {type(value).__name__}.") from None


def _row(table: Callable[[TaigaState, model.Project], Any]) -> Reader:
    def read(state: TaigaState, project: model.Project, value: Any) -> Any:
        if value is None:
            return None
        key = _key(value)
        row = table(state, project).get(key)
        if row is None:
            raise _Wrong(f"Invalid pk '{key}' - object does not exist.")
        return row

    return read


def _status(kind: model.Kind) -> Reader:
    find = _row(lambda state, _: state.statuses[kind])

    def read(state: TaigaState, project: model.Project, value: Any) -> model.Status | None:
        status: model.Status | None = find(state, project, value)
        if status is not None and status.project_id != project.id:
            raise errors.forbidden(f"You don't have permissions to set this status to this {kind}.")
        return status

    return read


_SHARED: dict[str, Reader] = {
    "subject": _required_text,
    "description": _text,
    "tags": _tags,
    "assigned_to": _row(lambda state, _: state.users),
    "milestone": _row(lambda state, _: state.milestones),
    "due_date": _as_it_is,
    "due_date_reason": _text,
    "is_blocked": _yes_or_no,
    "blocked_note": _text,
    "external_reference": _as_it_is,
    "watchers": _people,
}
READERS: dict[model.Kind, dict[str, Reader]] = {
    "task": {
        **_SHARED,
        "status": _status("task"),
        "user_story": _row(lambda state, _: state.stories),
        "us_order": _whole,
        "taskboard_order": _whole,
        "is_iocaine": _yes_or_no,
    },
    "userstory": {
        **_SHARED,
        "status": _status("userstory"),
        "backlog_order": _whole,
        "sprint_order": _whole,
        "kanban_order": _whole,
    },
    "issue": {
        **_SHARED,
        "status": _status("issue"),
        "type": _row(lambda state, _: state.choices["type"]),
        "priority": _row(lambda state, _: state.choices["priority"]),
        "severity": _row(lambda state, _: state.choices["severity"]),
    },
}


def read(state: TaigaState, project: model.Project, kind: model.Kind, body: Json) -> Json:
    """The known fields of a request as values that `work` takes.

    Raises:
        ApiError: 400 with a message for each wrong field; 403 for a status of another project.
    """
    found: Json = {}
    wrong: dict[str, str] = {}
    for name, reader in READERS[kind].items():
        if name not in body:
            continue
        try:
            found[name] = reader(state, project, body[name])
        except _Wrong as problem:
            wrong[name] = str(problem)
    if "version" in body:
        _note_wrong_version(body["version"], wrong)
    if wrong:
        raise errors.invalid(**wrong)
    if found.get("status", ...) is None:
        del found["status"]
    return found


def note_tag_colors(project: model.Project, body: Json) -> None:
    """Remember the colours of tags that were sent as pairs of name and colour."""
    for tag in body.get("tags") or []:
        if isinstance(tag, list):
            project.tags[str(tag[0]).lower()] = tag[1]


def read_new(state: TaigaState, project: model.Project, kind: model.Kind, body: Json) -> Json:
    """The fields of a new item.

    Raises:
        ApiError: 400, the subject is missing or a field is wrong.
    """
    if "subject" not in body:
        raise errors.invalid(subject=_REQUIRED)
    return read(state, project, kind, body)


def _note_wrong_version(value: Any, wrong: dict[str, str]) -> None:
    try:
        int(value)
    except (TypeError, ValueError):
        wrong["version"] = "Enter a whole number."


def check_version(body: Json, current: int, changed_since: Callable[[int], set[str]]) -> None:
    """Refuse a change that was made on an old copy of the same fields.

    Args:
        body: the request.
        current: the version of the stored object.
        changed_since: names of the fields that the last n changes touched.

    Raises:
        ApiError: 400, the version is missing, not a number, too high, or stale for one of the fields.
    """
    wrong: dict[str, str] = {}
    if "version" in body and body["version"] is not None:
        _note_wrong_version(body["version"], wrong)
    if wrong:
        raise errors.invalid(**wrong)
    version = body.get("version")
    if version is None or not 0 <= int(version) <= current:
        raise errors.bad_version()
    behind = current - int(version)
    if behind and changed_since(behind) & (body.keys() - {"version"}):
        raise errors.bad_version("The version doesn't match with the current one")


def changed_fields(state: TaigaState, item: model.Item, changes: int) -> set[str]:
    """Names of the fields that the last `changes` visible history entries of an item touched."""
    entries = [entry for entry in state.histories[item.kind, item.id].entries if not entry.hidden]
    return {name for entry in entries[-changes:] for name in entry.diff}
