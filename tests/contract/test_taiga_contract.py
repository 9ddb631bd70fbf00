"""The sandbox Taiga answers, and sends, what the real server was recorded to; so does a real one that is named.

With TAIGA_API, TAIGA_USERNAME and TAIGA_PASSWORD set the same exchanges go to that server (use a throw-away one: the
run leaves projects behind). Exchanges that need more than an account there are skipped, with the reason.
"""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from middleware.lab.sandbox.taiga import TaigaState, create_app, setup
from tests.contract.taiga_replay import Played, Run, load

EXCHANGES = load()
NAMES = [f"{number:03}-{exchange['name']}" for number, exchange in enumerate(EXCHANGES)]
REAL_API = os.environ.get("TAIGA_API")
PASSWORD = "lab-admin-pw"
EVERYTHING = frozenset(
    [
        "sync",
        "celery",
        "member",
        "stakeholder",
        "stranger",
        "application",
        "receiver",
        "switch",
        "clock",
        "email",
        "private",
    ]
)
PERSONAL = frozenset(
    ["username", "full_name", "full_name_display", "name", "email", "user_email", "gravatar_id", "slug", "project_slug"]
)
"""What depends on the account and on projects that are already there."""


class TickingClock:
    """A millisecond passes with every look at it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 21, 7, 23, 47, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it is."""
        self.now += timedelta(milliseconds=1)
        return self.now


class Receiver:
    """Takes the webhooks of the sandbox and fails in the ways the recorded receiver did."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Take one delivery, as `Sender`."""
        self.bodies.append(body)
        for part in ("9199", "/drop", "no-such-host", "https:"):
            if part in url:
                raise httpx.ConnectError("no answer")
        if "/redirect" in url:
            return 302
        return int(url.rsplit("/", 1)[1]) if "/status/" in url else 200

    def take(self) -> list[bytes]:
        """What came since the last call."""
        taken, self.bodies = self.bodies, []
        return taken


def sandbox_run(state: TaigaState, clock: TickingClock, receiver: Receiver, client: httpx.AsyncClient) -> Run:
    """The people of the recording, logged in."""
    people = {
        "admin": setup.add_user(state, "lab_admin", "Lab Admin", password=PASSWORD),
        "member": setup.add_user(state, "lab_member", "Lab Mémber 李", password=PASSWORD),
        "stakeholder": setup.add_user(state, "lab_stakeholder", "Lab Stakeholder", password=PASSWORD),
        "stranger": setup.add_user(state, "lab_stranger", "Lab Stranger", password=PASSWORD),
    }
    authorization = {role: f"Bearer {state.tokens.issue(person)[0]}" for role, person in people.items()}
    application = state.tokens.issue_application_token(people["admin"])
    refresh = state.tokens.issue(people["admin"])[1]

    def switch(name: str, value: Any) -> None:
        if name == "expire":
            state.tokens.expire(value)
        elif name == "at":
            clock.now = datetime.fromisoformat(value)
        else:
            setattr(state, name, value)

    variables = {
        "username": "lab_admin",
        "email": "LAB_admin@example.com",
        "password": PASSWORD,
        "runner_refresh": refresh,
    }
    state.celery = False
    shared = _shared_headers(authorization["admin"], application)
    return Run(client, {**authorization, **shared}, variables, EVERYTHING, receiver.take, switch)


def _shared_headers(admin: str, application: str) -> dict[str, str]:
    return {
        "garbage": "Bearer garbage",
        "scheme": admin.replace("Bearer", "Token"),
        "application": f"Application {application}",
        "bad_application": "Application nope",
    }


async def real_run(client: httpx.AsyncClient) -> Run:
    """The account from the environment, logged in to the real server."""
    username, password = os.environ["TAIGA_USERNAME"], os.environ["TAIGA_PASSWORD"]
    answer = await client.post("auth", json={"type": "normal", "username": username, "password": password})
    answer.raise_for_status()
    token = f"Bearer {answer.json()['auth_token']}"
    variables = {"username": username, "password": password, "email": answer.json()["email"]}
    # One account plays both people; exchanges about rights need the others and are skipped.
    authorization = {"admin": token, "member": token, **_shared_headers(token, "")}
    run = Run(client, authorization, variables, frozenset({"email"}), volatile=PERSONAL)
    run.ids["user"] = dict.fromkeys((6, 7), answer.json()["id"])
    return run


@pytest.fixture(scope="session")
async def played() -> AsyncIterator[dict[str, Played]]:
    """All exchanges, played once in their order."""
    if REAL_API is not None:
        async with httpx.AsyncClient(base_url=REAL_API, timeout=60) as client:
            run = await real_run(client)
            yield {name: await run.play(exchange) for name, exchange in zip(NAMES, EXCHANGES, strict=True)}
        return
    receiver = Receiver()
    clock = TickingClock()
    state = TaigaState(clock=clock, sender=receiver, site="http://127.0.0.1:9100")
    transport = httpx.ASGITransport(create_app(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9100/api/v1") as client:
        run = sandbox_run(state, clock, receiver, client)
        yield {name: await run.play(exchange) for name, exchange in zip(NAMES, EXCHANGES, strict=True)}


@pytest.mark.parametrize("name", NAMES)
def test_exchange(name: str, played: dict[str, Played]) -> None:
    """Status, headers, keys, types, messages and webhooks are those of the recording."""
    if played[name].skipped:
        pytest.skip(played[name].skipped)
    assert played[name].differences == []


def test_enough_is_covered() -> None:
    """Nearly every recorded exchange is played, and most recorded webhooks are caused by one."""
    recorded = [exchange for exchange in EXCHANGES if not exchange["name"].startswith("step_")]
    webhooks = {name for exchange in EXCHANGES for name in exchange.get("webhooks", [])}
    assert len(recorded) >= 190
    assert len(webhooks) >= 70
