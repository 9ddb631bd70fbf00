"""What the sandbox Taiga sends, beyond the recorded stories of the contract suite."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.taiga import TaigaState, create_app, setup
from middleware.lab.sandbox.taiga.errors import ApiError
from middleware.lab.sandbox.taiga.people import DEFAULT_KEY, PASSWORD, Place, Team
from middleware.sources.signing import verify_taiga
from tests.support.recorded import TAIGA_WEBHOOK_KEY, taiga_webhook, taiga_webhooks

HOOK = "http://127.0.0.1:9110/hook"


class Inbox:
    """Collects deliveries; `status` is what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.status = 200

    async def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Take one delivery, as `Sender`."""
        self.got.append((url, body, headers))
        return self.status

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """The decoded bodies."""
        return [json.loads(body) for _, body, _ in self.got]

    @property
    def kinds(self) -> list[str]:
        """Action and type of each delivery, e.g. `create/task`."""
        return [f"{payload['action']}/{payload['type']}" for payload in self.payloads]


@pytest.fixture
def inbox() -> Inbox:
    """A receiver of webhooks."""
    return Inbox()


@pytest.fixture
def team(inbox: Inbox) -> Team:
    """People whose Taiga sends to the inbox."""
    return Team(TaigaState(sender=inbox))


@pytest.fixture
def acme(team: Team) -> Place:
    """A project with one webhook."""
    return team.project("Acme", hook=HOOK)


def client_of(team: Team, username: str = "lab_admin") -> httpx.AsyncClient:
    """A client of the REST API, logged in."""
    user = team.state.find_user(username)
    assert user is not None
    token, _ = team.state.tokens.issue(user)
    transport = httpx.ASGITransport(create_app(team.state))
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://taiga.example/api/v1", headers=headers)


@pytest.mark.parametrize("webhook", taiga_webhooks(), ids=lambda webhook: webhook.name)
def test_recorded_webhooks_verify(webhook: Any) -> None:
    """Every stored delivery still has the bytes that its signature covers."""
    assert verify_taiga(webhook.body, webhook.headers, [TAIGA_WEBHOOK_KEY]) == 0


def test_recorded_webhook_by_number() -> None:
    """A delivery is found by the beginning of its name, and only if that is unique."""
    assert taiga_webhook("010").name == "010_task_status_closed"
    with pytest.raises(LookupError, match="recorded deliveries start with '01'"):
        taiga_webhook("01")


async def test_bytes_are_those_of_the_real_server(team: Team, acme: Place, inbox: Inbox) -> None:
    """Bodies are raw UTF-8 with a blank after commas and colons, keys in the recorded order."""
    acme.story("Größe 李 🚀")
    await team.deliver()
    _, body, _ = inbox.got[0]
    assert "Größe 李 🚀".encode() in body
    assert body.startswith(b'{"action": "create", "type": "userstory", "by": {"id": 6, "permalink": ')
    recorded = taiga_webhook("003_userstory_create").payload
    assert list(json.loads(body)) == list(recorded)
    assert list(json.loads(body)["data"]) == list(recorded["data"])


async def test_signature_covers_the_bytes(team: Team, acme: Place, inbox: Inbox) -> None:
    """Both headers carry the HMAC-SHA1 of the raw body with the key of the hook."""
    acme.story("Login")
    await team.deliver()
    _, body, headers = inbox.got[0]
    wanted = hmac.new(DEFAULT_KEY.encode(), body, hashlib.sha1).hexdigest()
    assert headers["X-TAIGA-WEBHOOK-SIGNATURE"] == wanted
    assert headers["X-Hub-Signature"] == f"sha1={wanted}"


async def test_headers_over_a_real_connection(team: Team) -> None:
    """The built-in sender puts exactly the recorded headers on the wire."""
    seen: list[tuple[list[str], bytes]] = []

    async def receive(request: Request) -> Response:
        seen.append((sorted(request.headers.keys()), await request.body()))
        return Response(status_code=202)

    async with serve(Starlette(routes=[Route("/hook", receive, methods=["POST"])])) as url:
        real = Team(TaigaState())
        real.project("Acme", hook=f"{url}/hook").story("Login")
        assert await real.deliver() == 1
    names, body = seen[0]
    assert names == sorted(name.lower() for name in taiga_webhook("003_userstory_create").headers)
    assert json.loads(body)["data"]["subject"] == "Login"
    assert [entry.status for entry in real.state.logs.of(real.state.hooks[1])] == [202]


async def test_a_receiver_that_is_down_is_logged_and_never_tried_again(acme: Place, team: Team) -> None:
    """No answer is status 0 in the log; the delivery is gone."""

    async def down(url: str, body: bytes, headers: dict[str, str]) -> int:
        raise httpx.ConnectError("Connection refused")

    team.state.sender = down
    acme.story("Login")
    assert await team.deliver() == 1
    assert await team.deliver() == 0
    entry = team.state.logs.of(team.state.hooks[1])[0]
    assert (entry.status, entry.response_data) == (0, "error-in-request: Connection refused")


async def test_redirects_are_not_followed(acme: Place, team: Team, inbox: Inbox) -> None:
    """A redirect is logged as an error with its status."""
    inbox.status = 302
    acme.story("Login")
    await team.deliver()
    entry = team.state.logs.of(team.state.hooks[1])[0]
    assert (entry.status, entry.response_data) == (302, "error-in-request: Redirects are not allowed")


async def test_only_ten_log_entries_are_kept(team: Team, acme: Place) -> None:
    """The log of a hook is no backlog: the eleventh delivery pushes the first out."""
    for number in range(12):
        acme.story(f"story {number}")
    await team.deliver()
    entries = team.state.logs.of(team.state.hooks[1])
    assert [entry.request_data["data"]["subject"] for entry in entries] == [f"story {n}" for n in range(11, 1, -1)]


async def test_resend_has_other_bytes_and_a_valid_signature_of_its_own(team: Team, acme: Place, inbox: Inbox) -> None:
    """A resend means the same but went through jsonb; a resend of a resend is identical to it."""
    acme.story("Login")
    await team.deliver()
    async with client_of(team) as client:
        first = (await client.post("webhooklogs/1/resend")).json()
        await client.post(f"webhooklogs/{first['id']}/resend")
    (_, original, _), (_, again, headers), (_, third, _) = inbox.got
    assert json.loads(again) == json.loads(original)
    assert again != original
    assert third == again
    assert verify_taiga(again, headers, [DEFAULT_KEY]) == 0


async def test_storyless_task_is_silent_with_celery(team: Team, acme: Place, inbox: Inbox) -> None:
    """With celery nothing is sent, nothing is logged, and the caller sees success."""
    acme.loose_task("loose").set("Billable", value=True).close()
    await team.deliver()
    assert inbox.got == []
    assert team.state.tasks[1].status.is_closed


async def test_storyless_task_crashes_without_celery_though_saved(team: Team, acme: Place) -> None:
    """Without celery the request answers 500, and the task is there all the same."""
    team.state.celery = False
    with pytest.raises(ApiError, match="500"):
        acme.loose_task("loose")
    assert team.state.tasks[1].subject == "loose"


async def test_deleted_task_has_no_values(team: Team, acme: Place, inbox: Inbox) -> None:
    """The event of a deletion is read after the row is gone: custom_attributes_values is null."""
    acme.story("Login").task("form").set("Billable", value=True).delete()
    await team.deliver()
    last = inbox.payloads[-1]
    assert (last["action"], last["data"]["custom_attributes_values"]) == ("delete", None)
    assert last["data"]["user_story"]["subject"] == "Login"


async def test_deleted_story_takes_its_tasks_without_a_word(team: Team, acme: Place, inbox: Inbox) -> None:
    """Deleting a story sends one event, for the story."""
    story = acme.story("Login")
    story.task("form")
    await team.deliver()
    story.delete()
    inbox.got.clear()
    await team.deliver()
    assert inbox.kinds == ["delete/userstory"]
    assert team.state.tasks == {}


async def test_edited_comment_repeats_the_closing_difference(team: Team, acme: Place, inbox: Inbox) -> None:
    """Editing the comment of a closing sends the closing again, with another date."""
    acme.story("Login").task("form").close(comment="done").edit_comment("really done")
    await team.deliver()
    closing, edit = inbox.payloads[-2:]
    assert edit["change"]["diff"] == closing["change"]["diff"] == {"status": {"from": "New", "to": "Closed"}}
    assert edit["change"]["edit_comment_date"] is not None
    assert edit["date"] > closing["date"]


async def test_same_value_again_sends_nothing(team: Team, acme: Place) -> None:
    """Values that are equal in Python (true and 1, 2 and 2.0) are no change."""
    task = acme.story("Login").task("form").set("Billable", value=True).set("Duration (Hours)", 2)
    await team.deliver()
    task.set("Billable", 1).set("Duration (Hours)", 2.0).move("New")
    assert team.state.outbox == []


async def test_null_values_are_left_out(team: Team, acme: Place, inbox: Inbox) -> None:
    """A number that was emptied in the web page disappears; empty text, zero and false stay."""
    task = acme.story("Login").task("form")
    task.fill({"Billable": False, "Hourly Rate": 0, "Duration (Hours)": None, "Client Invoice ID": ""})
    await team.deliver()
    values = inbox.payloads[-1]["data"]["custom_attributes_values"]
    assert values == {"Billable": False, "Hourly Rate": 0, "Client Invoice ID": ""}


async def test_status_closed_by_an_administrator_is_silent(team: Team, acme: Place) -> None:
    """Closing a status closes its tasks without event and without closing date."""
    task = acme.story("Login").task("form", status="Ready for test")
    await team.deliver()
    acme.status("Ready for test").is_closed = True
    assert team.state.outbox == []
    assert task.item.finished_date is None


async def test_bulk_creation_in_a_closed_status_has_no_closing_date(team: Team, acme: Place, inbox: Inbox) -> None:
    """Tasks made closed in bulk are closed, with finished_date null."""
    acme.story("Login").tasks(["a", "b"], status="Closed")
    await team.deliver()
    created = [payload["data"] for payload in inbox.payloads[1:]]
    assert [(data["status"]["is_closed"], data["finished_date"]) for data in created] == [(True, None)] * 2


async def test_moved_task_speaks_to_the_new_project_only(team: Team, acme: Place, inbox: Inbox) -> None:
    """After a move the new project's hook gets the event; the old values are shown as deleted."""
    other = team.project("Other", hook="http://127.0.0.1:9110/other").story("elsewhere")
    task = acme.story("Login").task("form").set("Billable", value=True)
    await team.deliver()
    inbox.got.clear()
    task.move_to_project(other)
    await team.deliver()
    assert [url for url, _, _ in inbox.got] == ["http://127.0.0.1:9110/other"]
    payload = inbox.payloads[0]
    assert payload["data"]["custom_attributes_values"] == {}
    assert [row["name"] for row in payload["change"]["diff"]["custom_attributes"]["deleted"]] == ["Billable"]


async def test_write_back_is_an_event_of_the_bridge(team: Team, acme: Place, inbox: Inbox) -> None:
    """A change made through the REST API with the bridge's account comes back as an event by the bridge."""
    task = acme.story("Login").task("form").set("Billable", value=True).close()
    await team.deliver()
    inbox.got.clear()
    async with client_of(team, "bridge") as client:
        now = (await client.get(f"tasks/custom-attributes-values/{task.id}")).json()
        body = {"attributes_values": {**now["attributes_values"], "5": "Invoiced"}, "version": now["version"]}
        answer = await client.patch(f"tasks/custom-attributes-values/{task.id}", json=body)
    assert answer.status_code == 200
    (payload,) = inbox.payloads
    assert payload["by"]["username"] == "bridge"
    assert payload["data"]["status"]["is_closed"] is True


async def test_held_deliveries_can_be_repeated_and_mixed_up(team: Team, acme: Place, inbox: Inbox) -> None:
    """With `hold` the web application leaves the outbox alone, and a test may rearrange it."""
    task = acme.story("Login").task("form")
    await team.deliver()
    inbox.got.clear()
    team.state.hold = True
    async with client_of(team) as client:
        await client.patch(f"tasks/{task.id}", json={"status": 2, "version": 1})
        await client.patch(f"tasks/{task.id}", json={"status": 4, "version": 2})
    assert inbox.got == []
    team.state.outbox.reverse()
    team.state.outbox.append(team.state.outbox[0])
    await team.deliver()
    assert [payload["data"]["status"]["name"] for payload in inbox.payloads] == ["Closed", "In progress", "Closed"]
    assert inbox.got[0][1] == inbox.got[2][1]


@pytest.mark.parametrize(("late", "hours"), [(False, {}), (True, {"Duration (Hours)": 3})])
async def test_related_objects_are_read_when_sent(
    team: Team, acme: Place, inbox: Inbox, *, late: bool, hours: dict[str, int]
) -> None:
    """A busy worker shows the values of the moment of sending in the event of an earlier change."""
    team.state.late_read = late
    acme.story("Login").task("form").set("Duration (Hours)", 3)
    await team.deliver()
    created = inbox.payloads[1]
    assert (created["action"], created["data"]["custom_attributes_values"]) == ("create", hours)


async def test_no_two_events_have_the_same_date(inbox: Inbox) -> None:
    """Even when the clock stands still every event has a date of its own."""
    frozen = TaigaState().now()
    team = Team(TaigaState(sender=inbox, clock=lambda: frozen))
    team.project("Acme", hook=HOOK).story("Login").task("form").close().reopen()
    await team.deliver()
    dates = [payload["date"] for payload in inbox.payloads]
    assert sorted(set(dates)) == dates


async def test_hooks_are_called_by_name(team: Team, acme: Place, inbox: Inbox) -> None:
    """Several hooks of a project are called in the order of their names, the newest first among equals."""
    for name, path in (("b", "b"), ("a", "a1"), ("a", "a2")):
        setup.add_webhook(team.state, acme.project, f"http://127.0.0.1:9110/{path}", "key", name)
    acme.story("Login")
    await team.deliver()
    assert [url.rsplit("/", 1)[1] for url, _, _ in inbox.got] == ["a2", "a1", "b", "hook"]


async def test_credentials_in_the_address_become_a_header(team: Team, inbox: Inbox) -> None:
    """User and password in a hook's address are sent as basic authorization, decoded."""
    team.project("Acme", hook="http://user:pa%20ss@127.0.0.1:9110/hook").story("Login")
    await team.deliver()
    assert inbox.got[0][2]["Authorization"] == "Basic dXNlcjpwYSBzcw=="


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda task: task.set("Client Invoice ID", 42), "Server application error"),
        (lambda task: task.set("Invoice Status", value=True), "Server application error"),
        (lambda task: task.set("Duration (Hours)", float("nan")), "Server application error"),
    ],
)
async def test_values_that_crash_change_nothing(acme: Place, make: Callable[[Any], None], message: str) -> None:
    """A number in a text attribute, or NaN anywhere, is 500 and rolled back."""
    task = acme.story("Login").task("form").set("Billable", value=True)
    with pytest.raises(ApiError, match=message):
        make(task)
    assert task.values == {"Billable": True}


def test_made_up_people_share_a_password(team: Team) -> None:
    """A person is made once and found again by name."""
    assert team.person("ada") is team.person("ada")
    assert team.person("ada").password == PASSWORD
