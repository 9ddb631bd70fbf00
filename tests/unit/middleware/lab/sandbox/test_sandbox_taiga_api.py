"""The REST API of the sandbox Taiga, beyond the recorded exchanges of the contract suite."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.taiga import TaigaState, create_app
from middleware.lab.sandbox.taiga.people import PASSWORD, Team

BASE = "http://taiga.example/api/v1"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it is."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of the sandbox."""
    return Clock()


@pytest.fixture
def team(clock: Clock) -> Team:
    """People of a fresh Taiga."""

    async def nobody_listens(url: str, body: bytes, headers: dict[str, str]) -> int:
        return 200

    return Team(TaigaState(clock=clock, sender=nobody_listens))


@pytest.fixture
def faults() -> Faults:
    """The failure switches of the sandbox."""
    return Faults()


@pytest.fixture
async def client(team: Team, faults: Faults) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not logged in."""
    transport = httpx.ASGITransport(create_app(team.state, faults))
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as opened:
        yield opened


async def login(client: httpx.AsyncClient, username: str = "lab_admin") -> dict[str, str]:
    """Log in and return the answer; the client uses the token from now on."""
    body = {"type": "normal", "username": username, "password": PASSWORD}
    answer: dict[str, str] = (await client.post("auth", json=body)).json()
    client.headers["Authorization"] = f"Bearer {answer['auth_token']}"
    return answer


async def test_access_tokens_live_a_day_and_refresh_tokens_eight(client: httpx.AsyncClient, clock: Clock) -> None:
    """After 24 hours the access token is refused; the refresh token still works, once."""
    answer = await login(client)
    clock.now += timedelta(hours=24)
    assert (await client.get("users/me")).status_code == 401
    del client.headers["Authorization"]
    renewed = await client.post("auth/refresh", json={"refresh": answer["refresh"]})
    assert renewed.status_code == 200
    again = await client.post("auth/refresh", json={"refresh": answer["refresh"]})
    assert again.json()["code"] == "token_not_valid"
    clock.now += timedelta(days=8)
    late = await client.post("auth/refresh", json={"refresh": renewed.json()["refresh"]})
    assert late.status_code == 401


async def test_pages_of_ten_thousand_tasks(client: httpx.AsyncClient, team: Team) -> None:
    """Walking the pages by their headers yields every task once; without pages they all come at once."""
    place = team.project("Big")
    for number in range(200):
        place.story(f"story {number}").tasks([f"task {number}-{index}" for index in range(50)], status="Closed")
    await login(client)
    seen: list[int] = []
    url: str | None = f"tasks?project={place.id}&status__is_closed=true&page_size=1000"
    while url is not None:
        answer = await client.get(url)
        seen += [row["id"] for row in answer.json()]
        url = answer.headers.get("x-pagination-next")
    assert sorted(seen) == list(range(1, 10_001))
    assert answer.headers["x-pagination-count"] == "10000"
    everything = await client.get("tasks", headers={"x-disable-pagination": "True"})
    assert len(everything.json()) == 10_000
    assert "x-paginated" not in everything.headers


async def test_page_size_has_a_default_and_a_limit(client: httpx.AsyncClient, team: Team) -> None:
    """Thirty rows come without page_size, a thousand at most with it."""
    team.project("Big").story("story").tasks([f"task {index}" for index in range(1100)])
    await login(client)
    assert len((await client.get("tasks")).json()) == 30
    assert len((await client.get("tasks?page_size=5000")).json()) == 1000
    assert len((await client.get("tasks?page_size=1000&page=last")).json()) == 100


async def test_filters(client: httpx.AsyncClient, team: Team, clock: Clock) -> None:
    """Each known filter chooses the right tasks; unknown ones choose nothing away."""
    place = team.project("Acme")
    ada = team.person("ada")
    story = place.story("Login")
    story.task("old", by=ada, tags=["frontend"]).close()
    clock.now += timedelta(hours=1)
    story.task("new one")
    place.loose_task("loose").close()
    await login(client)

    async def subjects(query: str) -> list[str]:
        answer = await client.get(f"tasks?{query}")
        assert answer.status_code == 200
        return [row["subject"] for row in answer.json()]

    everything = ["old", "new one", "loose"]
    assert await subjects("status__is_closed=true") == ["old", "loose"]
    assert await subjects("status__is_closed=0") == ["new one"]
    assert await subjects("status=1,2") == ["new one"]
    assert await subjects("exclude_status=4") == ["new one"]
    assert await subjects("user_story=null") == ["loose"]
    assert await subjects(f"assigned_to={ada.id}") == ["old"]
    assert await subjects("tags=frontend,other") == ["old"]
    assert await subjects("q=NEW") == ["new one"]
    assert await subjects("project__slug=acme") == everything
    assert await subjects("created_date__gt=2026-11-21T12:30:00Z") == ["new one", "loose"]
    assert await subjects("finished_date__lte=2026-11-21T12:00:00%2B00:00") == ["old"]
    assert await subjects("modified_date__lt=2026-11-22") == everything
    assert await subjects("nonsense=1&order_by=finished_date") == everything
    assert await subjects("order_by=-subject") == ["old", "new one", "loose"]
    assert (await client.get("tasks?status=abc")).status_code == 400
    assert (await client.get("tasks?created_date__gt=2026-11-21T12:30:00+00:00x")).status_code == 500


async def test_changed_attributes_do_not_touch_the_task(client: httpx.AsyncClient, team: Team, clock: Clock) -> None:
    """A sweep by modified_date misses tasks of which only custom attributes changed."""
    task = team.project("Acme").story("Login").task("form")
    clock.now += timedelta(hours=1)
    task.set("Duration (Hours)", 3)
    await login(client)
    shown = (await client.get(f"tasks/{task.id}")).json()
    assert (shown["version"], shown["modified_date"]) == (1, "2026-11-21T12:00:00.000Z")


async def test_strangers_see_nothing(client: httpx.AsyncClient, team: Team) -> None:
    """Lists are empty for strangers, and objects are forbidden."""
    task = team.project("Acme").story("Login").task("form")
    team.person("stranger")
    await login(client, "stranger")
    assert (await client.get("tasks")).json() == []
    assert (await client.get(f"tasks/{task.id}")).status_code == 403
    assert (await client.get("projects/1")).status_code == 403
    assert (await client.get("projects/by_slug?slug=acme")).status_code == 404
    assert (await client.get("task-custom-attributes")).json() == []


async def test_failure_switches(client: httpx.AsyncClient, team: Team, faults: Faults) -> None:
    """The app has the switches of all sandboxes: an answer may get lost after the work was done."""
    task = team.project("Acme").story("Login").task("form")
    await login(client)
    faults.add(method="PATCH", action="answer", status=500, when="after")
    lost = await client.patch(f"tasks/{task.id}", json={"status": 4, "version": 1})
    assert lost.status_code == 500
    assert task.item.status.is_closed
    assert faults.count("PATCH") == 1


async def test_the_app_carries_its_state(team: Team) -> None:
    """Tests and the demo reach data and switches through the app."""
    app = create_app(team.state)
    assert app.state.taiga is team.state
    assert isinstance(app.state.faults, Faults)


async def test_throttling_names_the_wait_in_a_header_of_its_own(client: httpx.AsyncClient, team: Team) -> None:
    """429 comes with X-Throttle-Wait-Seconds and without Retry-After."""
    await login(client)
    team.state.throttled_for = 7
    answer = await client.get("users/me")
    assert (answer.status_code, answer.headers["x-throttle-wait-seconds"]) == (429, "7")
    assert "retry-after" not in answer.headers


async def test_application_tokens_do_not_expire(client: httpx.AsyncClient, team: Team, clock: Clock) -> None:
    """A token of an application works for ever."""
    token = team.state.tokens.issue_application_token(team.bridge)
    clock.now += timedelta(days=1000)
    answer = await client.get("users/me", headers={"Authorization": f"Application {token}"})
    assert answer.json()["username"] == "bridge"


async def test_wrong_words_are_found_nowhere(client: httpx.AsyncClient) -> None:
    """An id that is no number is 404 in JSON; an unknown path is 404 as a page."""
    await login(client)
    word = await client.get("tasks/word")
    assert (word.status_code, word.json()) == (404, {"_error_message": ""})
    page = await client.get("nowhere")
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html")


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"subject": "x"}, {"project": ["This field is required."]}),
        ({"project": 999, "subject": "x"}, {"project": ["Invalid pk '999' - object does not exist."]}),
        ({"project": 1}, {"subject": ["This field is required."]}),
        ({"project": 1, "subject": ""}, {"subject": ["This field is required."]}),
        (
            {"project": 1, "subject": "x", "user_story": 99},
            {"user_story": ["Invalid pk '99' - object does not exist."]},
        ),
    ],
)
async def test_wrong_fields_are_named(
    client: httpx.AsyncClient, team: Team, body: dict[str, object], answer: dict[str, list[str]]
) -> None:
    """A wrong field is 400 with a list of messages under its name."""
    team.project("Acme")
    await login(client)
    response = await client.post("tasks", json=body)
    assert (response.status_code, response.json()) == (400, answer)
