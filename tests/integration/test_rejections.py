"""Refused requests can be seen, grouped and bounded; and which key was used last."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import httpx
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from middleware.app import create_app
from middleware.checks.local import check_keys
from middleware.commands import rejections, verify
from middleware.intake.rejections import MANY, MAX_NOTES, RejectionRecorder, fingerprint
from middleware.settings import Settings
from middleware.sources.signing import sign_taiga
from middleware.store.database import open_pool
from middleware.store.events import rejections as stored
from middleware.store.events.rejections import RejectionStore

BODY = b'{"action":"test","type":"test","by":null,"date":"2026-11-21T10:00:00Z","data":{"test":"test"}}'


@dataclass(frozen=True, slots=True)
class Door:
    """A way to the receiver, and its notes, to be written when a test wants it."""

    client: httpx.AsyncClient
    notes: RejectionRecorder


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """An empty store."""
    async with open_pool(fresh_database, size=3) as opened:
        yield opened


@pytest.fixture
def settings(fresh_database: str, redis_url: str) -> Settings:
    """A receiver of Taiga with a new and an old key."""
    return Settings(
        _env_file=None,
        taiga_webhook_secrets=(SecretStr("new"), SecretStr("old")),
        database_url=SecretStr(fresh_database),
        redis_url=SecretStr(redis_url),
    )


@pytest.fixture
async def door(settings: Settings) -> AsyncIterator[Door]:
    """A way to a running receiver."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("203.0.113.9", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            yield Door(client, app.state.notes)


async def test_refusals_are_grouped(door: Door, pool: asyncpg.Pool) -> None:
    """Like requests of a minute are one row with their number; reason, address, signature and body are there."""
    headers = {"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(BODY, "wrong"), "Cookie": "secret"}
    for _ in range(3):
        assert (await door.client.post("/webhooks/taiga", content=BODY, headers=headers)).status_code == 403
    await door.client.post("/webhooks/taiga", content=b"x" * 5000)
    await door.client.post("/webhooks/nobody", content=b"{}")
    garbage = b"no json " * 1000
    signed = {"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(garbage, "new")}
    assert (await door.client.post("/webhooks/taiga", content=garbage, headers=signed)).status_code == 400
    await door.notes.write()
    rows = {row.reason: row for row in await RejectionStore(pool).page()}
    wrong = rows["wrong_signature"]
    assert (wrong.requests, wrong.address, wrong.sample) in {(3, "203.0.113.9", BODY), (2, "203.0.113.9", BODY)}
    assert wrong.headers["x-taiga-webhook-signature"] == headers["X-TAIGA-WEBHOOK-SIGNATURE"]
    assert "cookie" not in wrong.headers
    assert len(rows["missing_signature"].sample) == 2048
    assert len(rows["not_json"].sample) == 2048
    assert rows["unknown_source"].source == "unknown"


async def test_a_storm_of_one_kind_displaces_nothing(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the same note is added to, the others stay, as long as there is room."""
    monkeypatch.setattr(stored, "ROWS_KEPT", 100)
    notes = RejectionRecorder(pool)
    senders = ("198.51.100.1", "198.51.100.2", "198.51.100.3")
    for address in (senders[0], *[senders[1]] * 200, senders[2]):
        notes.refused("taiga", "wrong_signature", "wrong", address=address, headers={})
        await notes.write()
    kept = {row.address for row in await RejectionStore(pool).page()}
    assert kept == set(senders)


async def test_the_table_is_bounded(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many senders there are, memory and table stay small, and the newest stay."""
    monkeypatch.setattr(stored, "ROWS_KEPT", 100)
    notes = RejectionRecorder(pool)
    for number in range(MAX_NOTES + 300):
        notes.refused("taiga", "wrong_signature", "no", address=f"192.0.2.{number}", headers={})
    await notes.write()
    rows = await RejectionStore(pool).page(limit=1000)
    assert len(rows) == 100
    assert (rows[0].address, rows[0].requests >= 150) == (MANY, True)


async def test_notes_are_dropped_while_the_store_is_away() -> None:
    """Nothing piles up, and nobody waits."""
    async with open_pool("postgresql://nobody@127.0.0.1:9/none", size=1) as away:
        notes = RejectionRecorder(away)
        notes.refused("taiga", "wrong_signature", "no", address="192.0.2.1", headers={})
        notes.key_used("taiga", "abcd", datetime.now(UTC))
        await notes.write()
        assert not notes._rejections
        assert not notes._noted


async def test_the_last_use_of_keys(door: Door, pool: asyncpg.Pool, settings: Settings) -> None:
    """Rotation: both keys are accepted, and `check` tells which one is still used. The keys themselves are nowhere."""
    for key, number in (("old", 1), ("new", 2), ("new", 3)):
        body = BODY.replace(b'"test":"test"', b'"test":"%d"' % number)
        headers = {"X-TAIGA-WEBHOOK-SIGNATURE": sign_taiga(body, key)}
        assert (await door.client.post("/webhooks/taiga", content=body, headers=headers)).status_code == 202
    await door.notes.write()
    uses = {use.fingerprint: use for use in await RejectionStore(pool).key_uses()}
    assert set(uses) == {fingerprint("new"), fingerprint("old")}
    findings = {finding.name: finding.message for finding in await check_keys(settings)}
    assert "used last" in findings["taiga key 2 of 2"]
    rotated = settings.model_copy(update={"taiga_webhook_secrets": (SecretStr("newest"), SecretStr("new"))})
    findings = {finding.name: finding.message for finding in await check_keys(rotated)}
    assert findings["taiga key 1 of 2"].endswith("never used")


async def test_uses_are_written_once_a_minute(pool: asyncpg.Pool) -> None:
    """Thousands of deliveries of a minute are one write."""
    notes, now = RejectionRecorder(pool), datetime.now(UTC)
    for second in range(59):
        notes.key_used("taiga", "abcd", now + timedelta(seconds=second))
    await notes.write()
    notes.key_used("taiga", "abcd", now + timedelta(seconds=59))
    assert not notes._uses
    notes.key_used("taiga", "abcd", now + timedelta(seconds=60))
    await notes.write()
    (use,) = await RejectionStore(pool).key_uses()
    assert (use.first_at, use.last_at) == (now, now + timedelta(seconds=60))


class TestCommands:
    """`rejections list` and `verify` as people run them."""

    @pytest.fixture(autouse=True)
    def environment(self, fresh_database: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """The settings, as variables."""
        for name, value in {
            "DATABASE_URL": fresh_database,
            "REDIS_URL": redis_url,
            "TAIGA_WEBHOOK_SECRETS": "new,old",
            "LOG_LEVEL": "warning",
        }.items():
            monkeypatch.setenv(name, value)

    async def test_list(self, pool: asyncpg.Pool) -> None:
        """Filtered and paged, as text and as JSON."""
        notes = RejectionRecorder(pool)
        for reason in ("wrong_signature", "wrong_signature", "not_json"):
            notes.refused("taiga", reason, "told why", address="192.0.2.1", headers={}, body=b"\xff")
        await notes.write()
        listed = await _run("list", "--reason", "wrong_signature")
        assert "wrong_signature  192.0.2.1  2 times\n    told why\n" in listed.output
        rows = json.loads((await _run("list", "--json", "--limit", "1")).output)
        assert (rows[0]["sample"], len(rows)) == ("\ufffd", 1)
        assert (await _run("list", "--since", "2999-01-01")).output == "nothing was refused\n"

    def test_verify(self, tmp_path: Path) -> None:
        """Right with exit code 0 and the key's fingerprint; wrong with 1, the mistake, and what to do."""
        file = tmp_path / "body"
        file.write_bytes(BODY)
        header = f"X-TAIGA-WEBHOOK-SIGNATURE: {sign_taiga(BODY, 'old')}"
        arguments = ["--source", "taiga", "--body", str(file), "--header", header]
        right = CliRunner().invoke(verify.command, arguments)
        assert (right.exit_code, right.output) == (
            0,
            f"ok: signed with key 2 of 2 (fingerprint {fingerprint('old')})\n",
        )
        file.write_bytes(BODY + b"\n")
        changed = CliRunner().invoke(verify.command, [*arguments, "--json"])
        assert (changed.exit_code, json.loads(changed.output)["kind"]) == (1, "body_changed")
        assert CliRunner().invoke(verify.command, [*arguments, "--header", "nonsense"]).exit_code == 2


async def _run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, rejections.command, list(arguments))
