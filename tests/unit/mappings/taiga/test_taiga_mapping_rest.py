"""What Taiga's REST answers say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from mappings.errors import NotUnderstood
from mappings.taiga.rest import read_rest
from tests.support.recorded import RECORDINGS

VALUES = {"Billable": True, "Duration (Hours)": 8}


def answer(name: str, **changes: Any) -> dict[str, Any]:
    """A recorded answer, with some values replaced."""
    path = RECORDINGS / "taiga" / "items" / f"{name}.json"
    return {**json.loads(path.read_text(encoding="utf-8")), **changes}


def test_recorded_task() -> None:
    """A recorded GET of a task, field by field."""
    item = read_rest("task", answer("task"), VALUES, front="http://front/")
    assert (item.kind, item.id, item.ref, item.subject) == ("task", 1, 3, "Build login form")
    assert (item.project_id, item.project_name, item.assignee) == (1, "Acme Website", "lab_admin")
    assert item.permalink == "http://front/project/acme-website/task/3"
    assert (item.is_closed, item.is_deleted, item.attributes) == (True, False, VALUES)
    assert item.finished_at == datetime(2026, 11, 21, 7, 23, 55, 372_000, UTC)
    assert item.changed_at == datetime(2026, 11, 21, 7, 23, 55, 764_000, UTC)


def test_recorded_story() -> None:
    """A recorded user story has another name for the time of closing, and nobody assigned."""
    item = read_rest("userstory", answer("userstory"), {}, front="http://front")
    assert (item.is_closed, item.assignee) == (True, None)
    assert item.permalink == "http://front/project/acme-website/us/2"
    assert item.finished_at == datetime(2026, 11, 21, 7, 23, 56, 614_000, UTC)


def test_permalink_needs_the_front() -> None:
    """Without the address of the web pages, or without the project's slug, there is no link."""
    assert read_rest("task", answer("task"), {}).permalink == ""
    assert read_rest("issue", answer("task", project_extra_info=None), {}, front="http://front").permalink == ""


def test_story_closed_by_its_last_task() -> None:
    """The same rule as for webhooks."""
    told = answer("userstory", status_extra_info={"name": "New", "is_closed": False})
    assert read_rest("userstory", told, {}).is_closed
    assert not read_rest("userstory", {**told, "is_closed": False}, {}).is_closed


def test_item_without_a_status_is_open() -> None:
    """A removed status leaves null behind; an issue has no is_closed of its own."""
    told = answer("task", status_extra_info=None, status=None)
    del told["is_closed"]
    assert not read_rest("issue", told, {}).is_closed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": None}, "id: is null"),
        ({"project": {"id": 1}}, "project: must be a whole number, not an object with 1 keys"),
        ({"status_extra_info": "Done"}, 'status_extra_info: must be an object, not "Done"'),
        ({"modified_date": "x"}, 'modified_date: "x" is not a time'),
    ],
)
def test_another_shape_names_the_place(change: dict[str, Any], message: str) -> None:
    """An answer that is no task is refused with its path."""
    with pytest.raises(NotUnderstood) as caught:
        read_rest("task", answer("task", **change), {})
    assert str(caught.value) == message


@pytest.mark.parametrize("told", [None, [], {}, "x"])
def test_other_json_is_not_understood(told: Any) -> None:
    """A list or an empty object is no item."""
    with pytest.raises(NotUnderstood):
        read_rest("task", told, {})
