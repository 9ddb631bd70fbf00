"""The seam of sources: a third one is one module and one line, and nothing else of the program knows its name."""

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from handlers.event import Event, NewEvent, Work
from handlers.outcome import Ignored
from handlers.registry import dispatch
from middleware.accounts.passwords import hash_password
from middleware.commands.verify import command as verify
from middleware.settings import Settings, load_settings
from middleware.sources.base import Delivery, Source, new_event
from middleware.sources.signing import SignatureError
from middleware.sources.table import SOURCES, sources_by_system
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.store.operations.users import UserStore
from tests.support.dashboard.seed import PASSWORD
from tests.support.dashboard.visitor import dashboard, visitor
from tests.support.receiver_bench import counted

KEY = "echo-key"
HEADER = "x-echo-signature"
BODY = json.dumps({"id": "call-1", "says": "hello"}).encode()


def _verify(delivery: Delivery, secrets: Sequence[str], _tolerance: int) -> int:
    given = delivery.headers.get(HEADER, "")
    for index, secret in enumerate(secrets):
        if hmac.compare_digest(_signed(delivery.body, secret), given):
            return index
    raise SignatureError("wrong_signature", "signed with another key")


def _read(delivery: Delivery, payload: Mapping[str, Any]) -> NewEvent:
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return new_event(
        ECHO, delivery, key=str(payload["id"]), event_type="echo.said", subject="echo:call:1", occurred_at=moment
    )


def _signed(body: bytes, secret: str) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


ECHO = Source("echo", "Echo of the hills", (HEADER,), _verify, _read, digest="sha256")


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one line in the table, and a key in the environment."""
    monkeypatch.setitem(SOURCES, "echo", ECHO)
    monkeypatch.setenv("ECHO_WEBHOOK_SECRETS", f"newer,{KEY}")


async def test_from_socket_to_page(clean_database: str, redis_url: str, tmp_path: Path) -> None:
    """Its webhook is stored and shown with its title, a wrong signature is refused and explained."""
    async with open_pool(clean_database, size=2) as pool:
        await UserStore(pool).add("ada", "admin", hash_password(PASSWORD))
        async with dashboard(clean_database, redis_url, tmp_path) as transport, visitor(transport) as ada:
            answer = await ada.http.post("/webhooks/echo", content=BODY, headers={HEADER: _signed(BODY, KEY)})
            assert (answer.status_code, answer.json()["status"]) == (202, "accepted")
            upper = {HEADER: _signed(BODY, KEY).upper()}
            assert (await ada.http.post("/webhooks/echo", content=BODY, headers=upper)).status_code == 403
            assert counted("wrong_signature", "echo") == 1
            (row,) = await EventStore(pool).list()
            assert (row.source, row.type, row.subject) == ("echo", "echo.said", "echo:call:1")
            await ada.sign_in("ada")
            assert "Echo of the hills" in await ada.get("/events?source=echo")
            assert "echo.said" in await ada.get(f"/events/{row.id}")
            await transport.app.state.notes.write()  # type: ignore[attr-defined]  # it is a Starlette application
            page = await ada.get("/rejections?source=echo")
            assert "Echo of the hills" in page
            number = page.partition("/rejections/")[2].partition('"')[0]
            assert "written in upper case" in await ada.get(f"/rejections/{number}")


async def test_settled_as_every_event() -> None:
    """What no handler bills is ignored with a reason; it waits for Invoice Ninja like everything else."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    event = Event(1, "echo", "echo.said", "call-1", "echo:call:1", moment, moment, {})
    outcome = await dispatch(Work(event.subject, (event,), event), None)  # type: ignore[arg-type]  # nothing is asked of it
    assert isinstance(outcome, Ignored)
    assert "echo" in sources_by_system(["invoiceninja", "stripe"])["invoiceninja"]
    assert "echo" not in sources_by_system(["invoiceninja", "stripe"])["stripe"]


def test_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its keys are read from the environment or `.env` under its name, and enable it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAIGA_WEBHOOK_SECRETS", "k")
    settings = load_settings()
    assert settings.webhook_secrets("echo") == ("newer", KEY)
    assert settings.enabled_sources == ("taiga", "echo")
    monkeypatch.delenv("ECHO_WEBHOOK_SECRETS")
    assert load_settings().enabled_sources == ("taiga",)
    (tmp_path / ".env").write_text("ECHO_WEBHOOK_SECRETS=from-file\n")
    assert load_settings().webhook_secrets("echo") == ("from-file",)
    assert "from-file" not in repr(Settings(taiga_webhook_secrets="k"))


def test_verify_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` reads its keys and its header."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCES", "echo")
    (tmp_path / "body").write_bytes(BODY)
    source = next(option for option in verify.params if option.name == "source")
    monkeypatch.setattr(source.type, "choices", tuple(SOURCES))
    arguments = ["--source", "echo", "--body", "body", "--header", f"X-Echo-Signature: {_signed(BODY, KEY)}"]
    result = CliRunner().invoke(verify, arguments)
    assert (result.exit_code, "signed with key 2 of 2" in result.output) == (0, True), result.output
