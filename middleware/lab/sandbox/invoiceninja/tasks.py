"""Tasks, the time entries of Invoice Ninja (facts section 6)."""

from collections.abc import Mapping
from typing import Any

from middleware.lab.sandbox.invoiceninja import records, timelog
from middleware.lab.sandbox.invoiceninja.call import Call, client_errors, invalid, number_errors, refuse
from middleware.lab.sandbox.invoiceninja.listing import paged
from middleware.lab.sandbox.invoiceninja.render import one
from middleware.lab.sandbox.invoiceninja.shapes import CUSTOM_FIELDS, TASK
from middleware.lab.sandbox.invoiceninja.state import NinjaState
from middleware.lab.sandbox.invoiceninja.table import Row
from middleware.lab.sandbox.invoiceninja.values import decimal, is_number, number, text

_TEXTS = ("description", "assigned_user_id", "status_id", "invoice_id", *CUSTOM_FIELDS)
_LOCKED = "Insufficient permissions, or task may be locked"
_SECONDS_PER_HOUR = 3600


def create(call: Call) -> Any:
    """Answer POST /tasks; nothing is required, unknown projects are dropped."""
    errors = {**_client_errors(call, {}), **number_errors(call, "tasks"), **_user_errors(call)}
    entries = timelog.parse(call.data.get("time_log"))
    invalid(errors)
    state = call.state
    values = {**TASK, **records.born(state), **records.texts(call, _TEXTS), **_owner(call, {})}
    values["status_id"] = values["status_id"] or next(iter(state.tables["task_statuses"])).id
    values["rate"] = _rate(state, call.data.get("rate"), values)
    values["number"] = text(call.data.get("number")) or state.next_number("task")
    values.update(_log_columns(state, entries, values))
    if call.flag("start"):
        # The answer and the row keep is_running false, as recorded.
        values.update(_log_columns(state, [*entries, [state.now(), 0]], values), is_running=False)
    row = state.tables["tasks"].add(values, {"hash": text(call.data.get("hash"))})
    _add_project_seconds(state, row["project_id"], _seconds(row))
    answer = records.created(call, "tasks", row)
    answer["data"]["date"] = _iso_start(state, row)
    return answer


def update(call: Call, row_id: str) -> Any:
    """Answer PUT /tasks/<id>: not partial, a missing time_log is wiped and a missing number replaced (the traps)."""
    row = call.live_row("tasks", row_id)
    state = call.state
    if row["invoice_id"] and state.company["invoice_task_lock"]:
        refuse(401, _LOCKED)
    errors = {**_client_errors(call, row.data), **number_errors(call, "tasks", row), **_user_errors(call)}
    entries = timelog.parse(call.data.get("time_log"))
    invalid(errors)
    values: dict[str, Any] = {**records.texts(call, _TEXTS), **_owner(call, row.data)}
    values["number"] = text(call.data.get("number")) or state.next_number("task")
    if "rate" in call.data:
        values["rate"] = _rate(state, call.data["rate"], {**row.data, **values})
    values.update(_log_columns(state, entries, {**row.data, **values}))
    if "hash" in call.data:
        row.private["hash"] = text(call.data["hash"])
    _change(state, row, values)
    _start_or_stop(call, row)
    return one(call, "tasks", row)


def bulk(call: Call) -> Any:
    """Answer POST /tasks/bulk; an unknown action breaks the server."""
    acts = {**records.BASIC_ACTIONS, "delete": _delete, "restore": _restore, "start": _start, "stop": _stop}
    act = acts.get(text(call.data.get("action")))
    if act is None:
        refuse(500, "Server Error")
    rows = records.rows_named(call, "tasks")
    for row in rows:
        act(call.state, "tasks", row)
    return paged(call, "tasks", rows)


def delete(call: Call, row_id: str) -> Any:
    """Answer DELETE /tasks/<id>; a lock does not hinder it."""
    row = call.row("tasks", row_id)
    _delete(call.state, "tasks", row)
    return one(call, "tasks", row)


def blank(call: Call) -> Any:
    """Answer GET /tasks/create."""
    return {"data": {**TASK, "user_id": records.owner_id(call.state)}}


def _client_errors(call: Call, present: dict[str, Any]) -> dict[str, list[str]]:
    """Validate the client that is sent, and the one to whom the sent project belongs (facts 2 section 5, 50)."""
    if text(call.data.get("project_id")):
        owner = call.state.tables["clients"].get(_owner(call, present)["client_id"])
        if owner is not None and owner["is_deleted"]:
            return {"client_id": ["The selected client id is invalid."]}
    return client_errors(call, required=False)


def _user_errors(call: Call) -> dict[str, list[str]]:
    user = call.data.get("assigned_user_id")
    if user is None or call.state.tables["users"].get(user) is not None:
        return {}
    return {"assigned_user_id": ["User not associated with this account"]}


def _owner(call: Call, present: dict[str, Any]) -> dict[str, str]:
    """Settle project and client: a known project decides on the client, an unknown one is dropped."""
    owner = {key: present.get(key, "") for key in ("project_id", "client_id")}
    if "project_id" in call.data:
        owner["project_id"] = text(call.data["project_id"])
    if "client_id" in call.data:
        owner["client_id"] = text(call.data["client_id"])
    project = call.state.tables["projects"].get(owner["project_id"])
    if project is None:
        return {**owner, "project_id": ""}
    return {**owner, "client_id": project["client_id"]}


def _rate(state: NinjaState, given: Any, values: dict[str, Any]) -> int | float:
    """Take the given rate (nonsense is 0); a missing one or 0 falls back to project, client, company."""
    if given is not None and (not is_number(given) or decimal(given) != 0):
        return number(decimal(given))
    project = state.tables["projects"].get(values["project_id"])
    if project is not None and project["task_rate"]:
        return number(decimal(project["task_rate"]))
    client = state.tables["clients"].get(values["client_id"])
    if client is not None:
        return number(decimal(state.client_setting(client, "default_task_rate")))
    return number(decimal(state.setting("default_task_rate")))


def _log_columns(state: NinjaState, entries: list[timelog.Entry], task: Mapping[str, Any]) -> dict[str, Any]:
    """What of the task changes with its log, rounded as its client (or the client's group, or the company) says."""
    client, day = state.tables["clients"].get(task["client_id"]), ""
    step = int(decimal(state.client_setting(client, "task_round_to_nearest")))
    stored = timelog.rounded(entries, step, up=bool(state.client_setting(client, "task_round_up")))
    if stored:
        day = state.company_time(int(stored[0][0])).date().isoformat()
    return {"time_log": timelog.dump(stored), "is_running": timelog.is_running(stored), "date": day}


def _iso_start(state: NinjaState, row: Row) -> str:
    """The answer of a POST shows the local start with a wrong Z; every later answer shows the date only."""
    entries = timelog.load(row["time_log"])
    if not entries:
        return ""
    return state.company_time(int(entries[0][0])).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _seconds(row: Row) -> int:
    return timelog.seconds(timelog.load(row["time_log"]))


def _change(state: NinjaState, row: Row, values: dict[str, Any]) -> None:
    """Change a task and move its time from the old project to the new one."""
    _add_project_seconds(state, row["project_id"], -_seconds(row))
    records.change(state, "tasks", row, values)
    _add_project_seconds(state, row["project_id"], _seconds(row))


def _add_project_seconds(state: NinjaState, project_id: str, seconds: int) -> None:
    project = state.tables["projects"].get(project_id)
    if project is None:
        return
    total = state.project_seconds.get(project_id, 0) + seconds
    state.project_seconds[project_id] = total
    half_up = (2 * total + _SECONDS_PER_HOUR) // (2 * _SECONDS_PER_HOUR)
    state.tables["projects"].change(project, {"current_hours": half_up})


def _start_or_stop(call: Call, row: Row) -> None:
    if call.flag("start"):
        _start(call.state, "tasks", row)
    if call.flag("stop"):
        _stop(call.state, "tasks", row)


def _start(state: NinjaState, _: str, row: Row) -> None:
    entries = timelog.load(row["time_log"])
    if row["invoice_id"] or timelog.is_running(entries):
        return
    _change(state, row, _log_columns(state, [*entries, [state.now(), 0]], row.data))


def _stop(state: NinjaState, _: str, row: Row) -> None:
    entries = timelog.load(row["time_log"])
    if timelog.is_running(entries):
        ended = [entries[-1][0], state.now(), *entries[-1][2:]]
        _change(state, row, _log_columns(state, [*entries[:-1], ended], row.data))


def _delete(state: NinjaState, entity: str, row: Row) -> None:
    if not row["is_deleted"]:
        _add_project_seconds(state, row["project_id"], -_seconds(row))
        records.delete(state, entity, row)


def _restore(state: NinjaState, entity: str, row: Row) -> None:
    if row["is_deleted"]:
        _add_project_seconds(state, row["project_id"], _seconds(row))
    records.restore(state, entity, row)
