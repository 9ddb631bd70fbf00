"""Signing in to Taiga: once, again when the token has ended, and never in a storm."""

import asyncio

import httpx
import pytest

from handlers.errors import Doubtful, Refused, Throttled, Unreachable
from middleware.clients.connect import connect_taiga
from middleware.clients.http.client import open_http
from middleware.clients.taiga import Credentials
from middleware.clients.taiga.session import TaigaSession
from tests.support.scripted_server import ScriptedServer, recorded_answer, taiga_answering

_LOGIN = Credentials(username="lab_admin", password="lab-admin-pw")


class TaigaWithTokens:
    """A Taiga whose login gives `t1`, `t2`, ...; only the newest one is valid."""

    def __init__(self) -> None:
        self.logins = 0
        self.refusals = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer after the others had their turn, as a server would."""
        await asyncio.sleep(0)
        if request.url.path == "/api/v1/auth":
            self.logins += 1
            return recorded_answer("taiga", "085", auth_token=f"t{self.logins}")
        if request.headers["Authorization"] != f"Bearer t{self.logins}":
            self.refusals += 1
            return recorded_answer("taiga", "093")
        return recorded_answer("taiga", "099")


async def test_a_login_is_made_when_it_is_needed() -> None:
    """User name and password give the token of all further requests."""
    taiga, server = taiga_answering(
        recorded_answer("taiga", "085"), recorded_answer("taiga", "099"), credentials=_LOGIN
    )
    await taiga.user_id()
    assert server.calls == ["POST /api/v1/auth", "GET /api/v1/users/me"]
    assert server.bodies[0] == {"type": "normal", "username": "lab_admin", "password": "lab-admin-pw"}
    assert "Authorization" not in server.requests[0].headers
    assert server.requests[1].headers["Authorization"] == "Bearer eyJ.redacted.token"


@pytest.mark.parametrize(
    ("token", "header"),
    [
        ("eyJ.abc", "Bearer eyJ.abc"),
        (" eyJ.abc\n", "Bearer eyJ.abc"),
        ("Bearer eyJ.abc", "Bearer eyJ.abc"),
        ("Application  eyJ.abc", "Application eyJ.abc"),
    ],
)
async def test_tokens_with_and_without_their_scheme(token: str, header: str) -> None:
    """A plain token is a bearer token; one that names its scheme is sent as it is."""
    taiga, server = taiga_answering(recorded_answer("taiga", "179"), credentials=Credentials(token=token))
    await taiga.user_id()
    assert server.requests[0].headers["Authorization"] == header


async def test_many_requests_with_an_ended_token_make_one_login() -> None:
    """Twenty requests that are refused at once wait for one login and are all sent again."""
    server = TaigaWithTokens()
    taiga = connect_taiga("https://taiga.example", _LOGIN, httpx.MockTransport(server.answer))
    await taiga.user_id()
    server.logins += 1  # the token t1 ends on the server's side
    await asyncio.gather(*(taiga._request("PATCH", "/users/me", body={}) for _ in range(20)))
    assert server.logins == 3
    assert server.refusals == 20
    await taiga.aclose()


async def test_a_token_without_a_password_cannot_be_renewed() -> None:
    """The refusal is passed on; nothing else is sent."""
    taiga, server = taiga_answering(recorded_answer("taiga", "096"))
    with pytest.raises(Refused, match="check TAIGA_TOKEN"):
        await taiga.user_id()
    assert len(server.requests) == 1


async def test_a_token_with_a_password_is_replaced() -> None:
    """When the configured token is refused, the login takes over."""
    credentials = Credentials(token="old", username="lab_admin", password="pw")
    taiga, server = taiga_answering(
        recorded_answer("taiga", "096"),
        recorded_answer("taiga", "085"),
        recorded_answer("taiga", "099"),
        credentials=credentials,
    )
    assert await taiga.user_id() == 6
    assert [r.headers.get("Authorization") for r in server.requests] == [
        "Bearer old",
        None,
        "Bearer eyJ.redacted.token",
    ]


async def test_a_fresh_token_that_is_refused() -> None:
    """There is no second attempt: the account has no right to anything."""
    taiga, server = taiga_answering(
        recorded_answer("taiga", "085"),
        recorded_answer("taiga", "093"),
        recorded_answer("taiga", "085"),
        recorded_answer("taiga", "093"),
        credentials=_LOGIN,
    )
    with pytest.raises(Refused):
        await taiga.user_id()
    assert len(server.requests) == 4


async def test_a_refused_login_is_not_repeated_at_once() -> None:
    """Many waiting events do not lock the account out: for half a minute nothing is sent."""
    now = [100.0]
    server = ScriptedServer(recorded_answer("taiga", "087"), recorded_answer("taiga", "085"))
    http = open_http("https://taiga.example/api/v1", {}, server.transport)
    session = TaigaSession(http, _LOGIN, timer=lambda: now[0])
    for _ in range(3):
        with pytest.raises(Refused, match="check TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD"):
            await session.authorization()
    assert len(server.requests) == 1
    now[0] += 30
    assert await session.authorization() == "Bearer eyJ.redacted.token"
    await http.aclose()


async def test_logins_that_fail_otherwise() -> None:
    """A throttled login waits, a lost one may be tried again at once, another server's answer names the address."""
    taiga, server = taiga_answering(
        recorded_answer("taiga", "168"),
        httpx.ConnectError("refused"),
        httpx.Response(200, json={"token": "x"}),
        credentials=_LOGIN,
    )
    with pytest.raises(Throttled) as throttled:
        await taiga.user_id()
    assert throttled.value.retry_after == 60
    with pytest.raises(Unreachable):
        await taiga.user_id()
    with pytest.raises(Doubtful, match="check the base address TAIGA_API"):
        await taiga.user_id()
    assert len(server.requests) == 3
