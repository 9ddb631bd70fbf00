"""The Taiga client against the sandbox server, which behaves as the recorded one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from handlers.errors import NotFound, Refused, Rejected, Throttled
from mappings.taiga.models import AttributeValues
from middleware.clients.connect import connect_taiga
from middleware.clients.taiga import Credentials, Taiga
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.taiga import create_app
from middleware.lab.sandbox.taiga.people import BRIDGE, PASSWORD, Place, Team

_LOGIN = Credentials(username=BRIDGE, password=PASSWORD)


@pytest.fixture
def team() -> Team:
    """People with an empty Taiga."""
    return Team()


@pytest.fixture
def acme(team: Team) -> Place:
    """A project with the five attributes."""
    return team.project("Acme Website")


@pytest.fixture
def faults() -> Faults:
    """The sandbox's failure switches."""
    return Faults()


@pytest.fixture
def transport(team: Team, faults: Faults) -> httpx.ASGITransport:
    """The way to the sandbox."""
    return httpx.ASGITransport(create_app(team.state, faults))


@pytest.fixture
async def taiga(transport: httpx.ASGITransport) -> AsyncIterator[Taiga]:
    """A client signed in as the bridge."""
    client = connect_taiga("http://taiga.sandbox", _LOGIN, transport)
    yield client
    await client.aclose()


async def test_a_task_as_people_left_it(taiga: Taiga, acme: Place, team: Team) -> None:
    """Hours, rate and status come by name, as in a webhook."""
    task = acme.story("Login").task("Build the form \U0001f680", by=team.person("ada"))
    task.fill({"Duration (Hours)": 4.5, "Billable": True, "Hourly Rate": None}).close()
    item = await taiga.item("task", task.id)
    assert (item.subject, item.is_closed, item.assignee) == ("Build the form \U0001f680", True, "ada")
    assert item.attributes == {"Duration (Hours)": Decimal("4.5"), "Billable": True}
    assert item.permalink == f"http://taiga.sandbox/project/acme-website/task/{item.ref}"
    assert item.finished_at is not None
    task.delete()
    with pytest.raises(NotFound):
        await taiga.item("task", task.id)


async def test_stories_and_issues(taiga: Taiga, acme: Place) -> None:
    """The other kinds have their own values."""
    story, issue = acme.story("Login"), acme.issue("Crash")
    story.set("Duration (Hours)", 2)
    issue.set("Duration (Hours)", 3).close()
    assert (await taiga.item("userstory", story.id)).attributes == {"Duration (Hours)": 2}
    found = await taiga.item("issue", issue.id)
    assert (found.attributes, found.is_closed) == ({"Duration (Hours)": 3}, True)


async def test_write_back(taiga: Taiga, acme: Place) -> None:
    """Read, merge, write whole, read back: the hours stay exactly what they were."""
    task = acme.story("Login").task("Form").fill({"Duration (Hours)": 4.5, "Billable": True})
    names = {d.name: str(d.id) for d in await taiga.attribute_definitions("task", acme.id)}
    present = await taiga.attribute_values("task", task.id)
    merged = AttributeValues(present.version, {**present.values, names["Invoice Status"]: "Pending Invoice"})
    written = await taiga.replace_attribute_values("task", task.id, merged)
    assert written == await taiga.attribute_values("task", task.id)
    assert written.version > present.version
    assert task.values == {"Duration (Hours)": Decimal("4.5"), "Billable": True, "Invoice Status": "Pending Invoice"}
    with pytest.raises(Rejected) as refused:
        await taiga.replace_attribute_values("task", task.id, AttributeValues(9999, merged.values))
    assert refused.value.names("version")


async def test_write_back_to_a_task_that_was_moved(taiga: Taiga, acme: Place, team: Team) -> None:
    """Values that the old project left behind are dropped instead of blocking every write."""
    task = acme.story("Login").task("Form").set("Duration (Hours)", 4.5)
    other = team.project("Other")
    task.move_to_project(other.story("Elsewhere"))
    names = {d.name: str(d.id) for d in await taiga.attribute_definitions("task", other.id)}
    left = await taiga.attribute_values("task", task.id)
    assert (await taiga.item("task", task.id)).attributes == {}
    values = {**left.values, names["Invoice Status"]: "Invoiced"}
    written = await taiga.replace_attribute_values("task", task.id, AttributeValues(left.version, values))
    assert written.values == {names["Invoice Status"]: "Invoiced"}


async def test_no_right_to_write(transport: httpx.ASGITransport, acme: Place, team: Team) -> None:
    """A stakeholder may read and not write."""
    task = acme.story("Login").task("Form")
    acme.join(team.person("guest"), "stakeholder")
    guest = connect_taiga("http://taiga.sandbox", Credentials(username="guest", password=PASSWORD), transport)
    values = await guest.attribute_values("task", task.id)
    with pytest.raises(Rejected) as refused:
        await guest.replace_attribute_values("task", task.id, AttributeValues(values.version, {"5": "Invoiced"}))
    assert refused.value.status == 403


async def test_lists_over_pages(taiga: Taiga, acme: Place, team: Team) -> None:
    """All closed tasks of a project, also those without a story, and those modified since a moment."""
    story = acme.story("Login")
    cards = [story.task(f"Task {number}") for number in range(205)]
    for card in cards:
        card.close()
    acme.loose_task("Loose").close()
    story.task("Open")
    team.project("Other").loose_task("Elsewhere").close()
    closed = [item.id async for item in taiga.closed_items("task", acme.id)]
    assert len(closed) == 206
    assert len(set(closed)) == 206
    assert len([i async for i in taiga.items_modified_since("task", acme.id, datetime(2000, 1, 1, tzinfo=UTC))]) == 207
    assert [i async for i in taiga.items_modified_since("task", acme.id, datetime(2999, 1, 1, tzinfo=UTC))] == []


async def test_projects_and_set_up(transport: httpx.ASGITransport, acme: Place, team: Team) -> None:
    """An administrator sees the projects whole, makes attributes and webhooks; others are told that they may not."""
    admin = connect_taiga(
        "http://taiga.sandbox", Credentials(username=team.admin.username, password=PASSWORD), transport
    )
    assert [project.name async for project in admin.projects()] == ["Acme Website"]
    project = await admin.project(acme.id)
    assert await admin.project_by_slug(project.slug) == project
    assert {member.username for member in project.members} == {team.admin.username, BRIDGE}
    assert [status.name for status in project.statuses["task"] if status.is_closed] == ["Closed"]
    made = await admin.create_attribute("task", acme.id, "Kind of work", "dropdown", ["a", "b"])
    assert made in await admin.attribute_definitions("task", acme.id)
    hook = await admin.create_webhook(acme.id, "bridge", "http://127.0.0.1:8000/webhooks/taiga", "a-key")
    changed = await admin.update_webhook(hook.id, key="another-key")
    assert await admin.webhooks(acme.id) == [changed]
    with pytest.raises(Rejected) as refused:
        await admin.create_webhook(acme.id, "bridge", "http://middleware:8000/x", "a-key")
    assert refused.value.names("url")
    bridge = connect_taiga("http://taiga.sandbox", _LOGIN, transport)
    assert await bridge.webhooks(acme.id) == []
    with pytest.raises(Rejected):
        await bridge.create_webhook(acme.id, "bridge", "http://127.0.0.1:8000/x", "a-key")


async def test_a_session_that_ends(taiga: Taiga, acme: Place, team: Team, faults: Faults) -> None:
    """An access token ends after a day: the client signs in again by itself."""
    task = acme.story("Login").task("Form")
    await taiga.item("task", task.id)
    faults.add(
        method="GET", path="/tasks/", action="answer", status=401, body={"detail": "x", "code": "token_not_valid"}
    )
    await taiga.item("task", task.id)
    assert faults.count("POST", "/auth$") == 2


async def test_bad_logins_and_throttling(transport: httpx.ASGITransport, faults: Faults) -> None:
    """A wrong password is refused; 429 says how long to wait."""
    wrong = connect_taiga("http://taiga.sandbox", Credentials(username=BRIDGE, password="wrong"), transport)
    with pytest.raises(Refused):
        await wrong.user_id()
    faults.add(action="answer", status=429, retry_after=5, body={})
    right = connect_taiga("http://taiga.sandbox", _LOGIN, transport)
    with pytest.raises(Throttled) as throttled:
        await right.user_id()
    assert throttled.value.retry_after == 5
