"""What recorded and damaged Taiga webhooks say."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.errors import NotUnderstood
from mappings.taiga.webhook import KINDS, actor_id, describe, is_own_echo, read_webhook
from tests.support.recorded import RecordedWebhook, taiga_webhook, taiga_webhooks

WEBHOOKS = taiga_webhooks()
STATUS = "Invoice Status"
OUR_USER = 6


def payload(name: str) -> Any:
    """The payload of a recorded delivery, free to be changed."""
    return copy.deepcopy(taiga_webhook(name).payload)


def changed(name: str, path: str, *, value: Any) -> Any:
    """A recorded payload with one value replaced."""
    result = payload(name)
    *holders, last = path.split(".")
    holder = result
    for part in holders:
        holder = holder[part]
    holder[last] = value
    return result


def write_back(diff: dict[str, Any], by: int = OUR_USER) -> Any:
    """A change of a closed task with this diff."""
    result = changed("010", "change.diff", value=diff)
    result["by"]["id"] = by
    return result


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda webhook: webhook.name)
def test_every_recorded_webhook_is_described(webhook: RecordedWebhook) -> None:
    """The receiver can name every delivery, billed or not."""
    told = webhook.payload
    head = describe(told)
    assert head.type == f"{told['type']}.{told['action']}"
    assert head.subject == (f"taiga:{told['type']}:{told['data']['id']}" if "id" in told["data"] else "taiga:test")
    assert head.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z") == told["date"]


@pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda webhook: webhook.name)
def test_every_recorded_work_item_is_read(webhook: RecordedWebhook) -> None:
    """Tasks, stories and issues are read; everything else is not taken for work."""
    told = webhook.payload
    if told["type"] not in KINDS:
        with pytest.raises(NotUnderstood, match="cannot be billed"):
            read_webhook(told)
        return
    item, data = read_webhook(told), told["data"]
    assert (item.kind, item.id, item.ref) == (told["type"], data["id"], data["ref"])
    assert item.is_closed == (data["status"]["is_closed"] or data.get("is_closed", False))
    assert item.is_deleted == (told["action"] == "delete")
    assert item.attributes == data["custom_attributes_values"]
    assert item.changed_at.tzinfo is UTC


def test_closed_task_in_full() -> None:
    """A recorded closing, field by field."""
    item = read_webhook(payload("013"))
    assert item.subject == "Build login form"
    assert item.permalink == "http://127.0.0.1:9100/project/acme-website/task/3"
    assert (item.project_id, item.project_name, item.assignee) == (1, "Acme Website", "lab_member")
    assert item.changed_at == datetime(2026, 11, 21, 7, 23, 54, 171_000, UTC)
    assert item.finished_at == datetime(2026, 11, 21, 7, 23, 53, 957_000, UTC)
    assert item.attributes is not None
    assert item.attributes["Duration (Hours)"] == 7.25


def test_finish_of_a_story_and_of_an_issue() -> None:
    """User stories name the time of closing otherwise than issues."""
    assert read_webhook(payload("061")).finished_at == datetime(2026, 11, 21, 7, 23, 56, 614_000, UTC)
    assert read_webhook(payload("065")).finished_at == datetime(2026, 11, 21, 7, 25, 34, 623_000, UTC)


def test_story_is_closed_by_its_last_task() -> None:
    """Taiga closes a story when its last task is closed, and leaves the story's status as it is."""
    told = payload("062")
    assert (told["data"]["status"]["is_closed"], told["data"]["is_closed"]) == (False, True)
    assert read_webhook(told).is_closed
    assert not read_webhook(changed("062", "data.is_closed", value=False)).is_closed


def test_bulk_created_in_a_closed_status() -> None:
    """Such a task is closed without a time of closing."""
    item = read_webhook(payload("079"))
    assert (item.is_closed, item.finished_at) == (True, None)


def test_deleted_task_has_no_attributes() -> None:
    """Taiga reads the values after they are gone."""
    item = read_webhook(payload("059"))
    assert (item.is_deleted, item.attributes) == (True, None)


def test_deleted_task_never_has_attributes() -> None:
    """Should a later Taiga tell values with a delete, they still do not count."""
    assert read_webhook(changed("059", "data.custom_attributes_values", value={"Billable": True})).attributes is None


def test_item_without_a_status_is_open() -> None:
    """A status that was removed leaves null behind."""
    assert not read_webhook(changed("010", "data.status", value=None)).is_closed


def test_subjects_are_one_line() -> None:
    """Emoji and foreign letters stay, line separators do not."""
    item = read_webhook(changed("010", "data.subject", value="A\u2028B \u0000 🚀 李\n"))
    assert item.subject == "A B 🚀 李"
    assert read_webhook(payload("033")).subject


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data.status", "Done", 'data.status: must be an object, not "Done"'),
        ("data.status", {}, "data.status.is_closed: is missing"),
        ("data.id", "1", 'data.id: must be a whole number, not "1"'),
        ("data.id", -1, "data.id: -1 is not an id"),
        ("data.subject", None, "data.subject: is null"),
        ("data.project", 1, "data.project: must be an object, not 1"),
        ("data.finished_date", "now", 'data.finished_date: "now" is not a time'),
        (
            "data.custom_attributes_values",
            [],
            "data.custom_attributes_values: must be an object, not a list of 0 values",
        ),
        ("data.assigned_to", 7, "data.assigned_to: must be an object, not 7"),
        ("data", [], "data: must be an object, not a list of 0 values"),
        ("date", None, "date: is null"),
        ("type", 5, "type: must be a text, not 5"),
    ],
)
def test_another_shape_names_the_place(path: str, value: Any, message: str) -> None:
    """What Taiga never sent so far is not guessed at."""
    with pytest.raises(NotUnderstood) as caught:
        read_webhook(changed("010", path, value=value))
    assert str(caught.value) == message


def test_missing_status_is_another_shape() -> None:
    """Only null means that there is no status."""
    told = payload("010")
    del told["data"]["status"]
    with pytest.raises(NotUnderstood, match=r"data\.status: is missing"):
        read_webhook(told)


def test_unknown_types_and_actions_are_named_as_they_are() -> None:
    """Taiga may learn new events; they are stored and ignored, not refused."""
    told = {"action": "archive", "type": "swimlane", "by": None, "date": "2026-11-21T07:23:53Z", "data": {"x": 1}}
    head = describe(told)
    assert (head.type, head.subject) == ("swimlane.archive", "taiga:swimlane")
    assert describe({**told, "data": {"id": 5}}).subject == "taiga:swimlane:5"
    assert describe({**told, "data": {"id": "abc"}}).subject == "taiga:swimlane"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"action": None}, "action"),
        ({"action": ""}, "action"),
        ({"type": "x" * 65}, "type"),
        ({"type": "a\u0000"}, "type"),
        ({"date": "yesterday"}, "date"),
        ({"data": None}, "data"),
        ({"data": {}}, "data.id"),
        ({"data": {"id": 0}}, "data.id"),
        ({"by": "me"}, "by"),
    ],
)
def test_other_json_is_not_taiga(change: dict[str, Any], path: str) -> None:
    """JSON of another shape is refused with the place that tells it."""
    with pytest.raises(NotUnderstood) as caught:
        describe({**payload("010"), **change})
    assert caught.value.path == path


def test_author_must_be_told_even_if_nobody() -> None:
    """`by` may be null, but Taiga always sends it."""
    told = payload("010")
    del told["by"]
    with pytest.raises(NotUnderstood, match="by: is missing"):
        describe(told)


@pytest.mark.parametrize(
    ("told", "user_id"),
    [({"by": {"id": 7}}, 7), ({"by": None}, None), ({"by": {"id": True}}, None), ({"by": {}}, None), ([], None)],
)
def test_author(told: Any, user_id: int | None) -> None:
    """Who did it, if anybody."""
    assert actor_id(told) == user_id


def status_diff(*names: str, group: str = "changed") -> dict[str, Any]:
    """A diff of custom attributes with these names."""
    return {"custom_attributes": {"new": [], "deleted": [], group: [{"name": name} for name in names]}}


@pytest.mark.parametrize(
    "diff",
    [
        {},
        status_diff(STATUS),
        status_diff(STATUS, group="new"),
        {**status_diff(STATUS), "taskboard_order": {"from": 1, "to": 2}, "us_order": {"from": 1, "to": 2}},
        {"kanban_order": {"from": 1, "to": 2}, "sprint_order": {"from": 1, "to": 2}},
        {"custom_attributes": None},
    ],
)
def test_our_own_write_back_is_an_echo(diff: dict[str, Any]) -> None:
    """Our status, our comment and orders that nobody sees call for nothing."""
    assert is_own_echo(write_back(diff), OUR_USER, STATUS)


@pytest.mark.parametrize(
    "diff",
    [
        {"status": {"from": "New", "to": "Closed"}},
        {**status_diff(STATUS), "status": {"from": None, "to": "Closed"}},
        status_diff(STATUS, "Duration (Hours)"),
        status_diff("Billable", group="deleted"),
        {"custom_attributes": "changed"},
        {"custom_attributes": {"changed": [5]}},
        {"custom_attributes": {"changed": "all"}},
        {"something_new": 1},
    ],
)
def test_any_other_change_of_our_user_counts(diff: dict[str, Any]) -> None:
    """A person may work with the bridge's account, and diffs carry silent changes of others."""
    assert not is_own_echo(write_back(diff), OUR_USER, STATUS)


def test_same_change_of_another_user_counts() -> None:
    """Somebody who sets the status by hand is heard."""
    assert not is_own_echo(write_back(status_diff(STATUS), by=7), OUR_USER, STATUS)


@pytest.mark.parametrize("change", [None, {}, {"diff": None}, {"diff": []}])
def test_change_without_a_diff_counts(change: Any) -> None:
    """What cannot be judged is looked at."""
    assert not is_own_echo(changed("015", "change", value=change), OUR_USER, STATUS)


def test_creating_and_deleting_are_no_echoes() -> None:
    """Only changes are answers to our write-back."""
    assert not is_own_echo(payload("026"), OUR_USER, STATUS)
    assert not is_own_echo(payload("059"), OUR_USER, STATUS)


def test_recorded_comment_is_an_echo_for_its_author_only() -> None:
    """A recorded comment changes nothing; of another user it is looked at all the same."""
    assert is_own_echo(payload("015"), OUR_USER, STATUS)
    assert not is_own_echo(payload("015"), 99, STATUS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
paths = st.sampled_from(
    ["action", "type", "by", "date", "data", "change", "change.diff"]
    + [f"data.{key}" for key in ("id", "ref", "subject", "status", "status.is_closed", "project", "project.id")]
    + ["data.assigned_to", "data.finished_date", "data.custom_attributes_values", "change.diff.custom_attributes"]
)


@given(paths, json_values)
def test_damaged_payloads_are_read_or_not_understood(path: str, value: Any) -> None:
    """One value of another shape never leads to another error."""
    told = changed("013", path, value=value)
    is_own_echo(told, 7, STATUS)
    for read in (describe, read_webhook):
        try:
            read(told)
        except NotUnderstood as error:
            told_path = error.path
            assert told_path.startswith(path.partition(".")[0])
