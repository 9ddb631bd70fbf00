"""The people of the sandbox Taiga do what they say, through the rules of the server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.lab.sandbox.taiga import TaigaState
from middleware.lab.sandbox.taiga.people import Card, Place, Team
from middleware.lab.sandbox.taiga.setup import STANDARD_ATTRIBUTES

HOOK = "http://127.0.0.1:9110/hook"
STATUSES = ("New", "In progress", "Ready for test", "Closed", "Needs Info")


@pytest.fixture
def team() -> Team:
    """People of a fresh Taiga; nothing is sent unless a test delivers."""
    return Team(TaigaState())


@pytest.fixture
def acme(team: Team) -> Place:
    """A project with one webhook."""
    return team.project("Acme", hook=HOOK)


def payloads(team: Team) -> list[dict[str, Any]]:
    """What waits in the outbox, decoded."""
    return [json.loads(delivery.body) for delivery in team.state.outbox]


def last(team: Team) -> dict[str, Any]:
    """The newest webhook that waits."""
    return payloads(team)[-1]


def test_projects_have_the_standard_attributes(team: Team, acme: Place) -> None:
    """Tasks, stories and issues have the five attributes with the types and options of the bridge."""
    names = [(name, kind, options) for name, kind, options in STANDARD_ATTRIBUTES]
    for kind in ("task", "userstory", "issue"):
        found = [(row.name, row.type, row.extra) for row in team.state.attributes_of(acme.project, kind)]
        assert found == names


def test_values_are_set_one_by_one(team: Team, acme: Place) -> None:
    """Each attribute is an event of its own that shows all values so far."""
    acme.story("Login").task("form").fill({"Billable": True, "Hourly Rate": 95.5})
    shown = [payload["data"]["custom_attributes_values"] for payload in payloads(team)[2:]]
    assert shown == [{"Billable": True}, {"Billable": True, "Hourly Rate": 95.5}]


def test_assignment_names_people(team: Team, acme: Place) -> None:
    """A task is given to somebody, who becomes a member, and taken away again."""
    ada = team.person("ada_lovelace")
    task = acme.story("Login").task("form").assign(ada)
    assert last(team)["change"]["diff"] == {"assigned_to": {"from": None, "to": "Ada Lovelace"}}
    assert team.state.membership(ada, acme.project) is not None
    task.assign(None)
    assert last(team)["data"]["assigned_to"] is None


def test_changes_of_a_closed_task_still_say_closed(team: Team, acme: Place) -> None:
    """Renaming a closed task shows a closed status and a difference without status."""
    acme.story("Login").task("form").close().rename("the form")
    assert last(team)["data"]["status"]["is_closed"] is True
    assert list(last(team)["change"]["diff"]) == ["subject"]


def test_reopening_empties_the_closing_date(acme: Place) -> None:
    """Closing again sets a new date."""
    task = acme.story("Login").task("form").close()
    first = task.item.finished_date
    task.reopen()
    assert task.item.finished_date is None
    task.close()
    assert task.item.finished_date is not None
    assert first is not None
    assert task.item.finished_date >= first


def test_deleted_comment_repeats_its_event(team: Team, acme: Place) -> None:
    """Deleting a comment sends it again, marked with the date of deletion."""
    acme.story("Login").task("form").comment("hello").delete_comment()
    first, second = payloads(team)[-2:]
    assert (first["change"]["comment"], second["change"]["comment"]) == ("hello", "hello")
    assert first["change"]["delete_comment_date"] is None
    assert second["change"]["delete_comment_date"] is not None


def test_task_goes_to_the_sprint_of_its_story(team: Team, acme: Place) -> None:
    """Moving to another story moves to its sprint, and both are in the difference."""
    sprints = [acme.sprint(name, "2026-11-01", "2026-11-30") for name in ("Sprint 1", "Sprint 2")]
    here, there = (acme.story(sprint.name, sprint) for sprint in sprints)
    task = here.task("form")
    assert task.item.milestone is sprints[0]
    task.move_to_story(there)
    assert last(team)["change"]["diff"] == {
        "milestone": {"from": "Sprint 1", "to": "Sprint 2"},
        "user_story": {"from": "#1 Sprint 1", "to": "#2 Sprint 2"},
    }


def test_last_closed_task_closes_story_and_sprint_silently(team: Team, acme: Place) -> None:
    """Only the task sends an event; the story in it is closed though its status is still New."""
    sprint = acme.sprint("Sprint 1", "2026-11-01", "2026-11-30")
    story = acme.story("Login", sprint)
    task = story.task("form")
    team.state.outbox.clear()
    task.close()
    (payload,) = payloads(team)
    nested = payload["data"]["user_story"]
    assert (nested["is_closed"], nested["status"]["name"], payload["data"]["milestone"]["closed"]) == (
        True,
        "New",
        True,
    )
    task.delete()
    assert (story.item.is_closed, sprint.closed) == (False, False)


def test_story_without_tasks_is_closed_by_its_status(team: Team, acme: Place) -> None:
    """A story of its own is closed by "Done" and says so under finish_date."""
    acme.story("Login").close()
    data = last(team)["data"]
    assert (data["status"]["name"], data["is_closed"]) == ("Done", True)
    assert data["finish_date"] is not None


def test_issues_have_values_too(team: Team, acme: Place) -> None:
    """An issue is closed and billed like a task, under its own attribute ids."""
    acme.issue("Bug").set("Duration (Hours)", 2).close()
    data = last(team)["data"]
    assert (last(team)["type"], data["custom_attributes_values"]) == ("issue", {"Duration (Hours)": 2})
    assert data["finished_date"] is not None


def test_unknown_status_is_named(acme: Place) -> None:
    """A status that the project does not have is a mistake of the test, and says so."""
    with pytest.raises(LookupError, match="project Acme has no task status 'Nope'"):
        acme.story("Login").task("form").move("Nope")


def test_task_made_as_closed_never_changes(team: Team, acme: Place) -> None:
    """A task that is created in a closed status sends only its creation, with a closing date."""
    task = acme.story("Login").task("form", status="Closed")
    assert [payload["action"] for payload in payloads(team)] == ["create", "create"]
    assert last(team)["data"]["finished_date"] is not None
    assert isinstance(task, Card)


@given(st.lists(st.sampled_from(STATUSES), max_size=12))
def test_status_differences_form_a_chain(moves: list[str]) -> None:
    """Whatever people do, each event starts where the last ended, and standing still is no event."""
    team = Team(TaigaState())
    task = team.project("Acme", hook=HOOK).story("Login").task("form")
    team.state.outbox.clear()
    for status in moves:
        task.move(status)
    steps = [payload["change"]["diff"]["status"] for payload in payloads(team)]
    visited = ["New", *(step["to"] for step in steps)]
    assert [step["from"] for step in steps] == visited[:-1]
    assert all(step["from"] != step["to"] for step in steps)
    assert (task.item.finished_date is not None) == (visited[-1] == "Closed")
