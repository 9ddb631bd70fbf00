"""Alerts over a real PostgreSQL and, once, through apprise to a real socket."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from middleware.alerts.models import Message
from middleware.alerts.sender import Sent, send
from middleware.alerts.watcher import Alerts
from middleware.lab.sandbox.serve import serve
from middleware.settings import Settings
from middleware.store.billing.links import ReviewStore
from middleware.store.database import Pool, open_pool
from middleware.store.operations.alerts import AlertStore
from middleware.store.operations.attention import AttentionStore
from middleware.store.operations.workers import WorkerStore

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Post:
    """Takes messages; `is_away` takes none."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.is_away = False

    async def __call__(self, urls: Sequence[str], message: Message) -> list[Sent]:
        """Take the message for every address."""
        if not self.is_away:
            self.messages.append(message)
        return [Sent("1 (json)", is_ok=not self.is_away, said="refused" if self.is_away else "") for _ in urls]


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    """A pool on an empty database."""
    async with open_pool(fresh_database, size=6) as opened:
        yield opened


def _settings(**changes: object) -> Settings:
    fields = {"taiga_webhook_secrets": "key", "alert_urls": "json://host/one", "public_url": "https://b.example"}
    return Settings(_env_file=None, **(fields | changes))  # type: ignore[arg-type]  # pydantic checks them


async def _event(pool: Pool, status: str, *, task: int = 1, received: datetime = NOW, headers: str = "{}") -> int:
    event_id: int = await pool.fetchval(
        "INSERT INTO events (source, type, key, subject, occurred_at, received_at, body, status, reason, headers)"
        " VALUES ('taiga', 'task.change', gen_random_uuid()::text, $4, $1, $1, '', $2, 'no rate',"
        " $3::text::jsonb) RETURNING id",
        received,
        status,
        headers,
        f"taiga:task:{task}",
    )
    return event_id


async def test_told_once_grouped_and_recovered(pool: Pool) -> None:
    """Dead events are told once; later ones together after the window; the end is told, too."""
    post = Post()
    await _event(pool, "dead")
    newest = await _event(pool, "dead")
    assert await Alerts(_settings(), pool, str, post).look(NOW) == 1
    assert f"- taiga:task:1, event {newest}: no rate" in post.messages[0].body
    assert "https://b.example/events?status=dead&subject=taiga%3Atask%3A1" in post.messages[0].body
    await _event(pool, "dead", task=2)
    await _event(pool, "dead", task=3)
    # Another process: what was told is in PostgreSQL.
    restarted = Alerts(_settings(), pool, str, post)
    assert await restarted.look(NOW + timedelta(minutes=14)) == 0
    assert await restarted.look(NOW + timedelta(minutes=16)) == 1
    assert post.messages[1].title == "taiga-billing: 2 tasks or payments are stuck"
    await pool.execute("UPDATE events SET status = 'processed'")
    assert await restarted.look(NOW + timedelta(minutes=40)) == 1
    assert (post.messages[2].is_good_news, post.messages[2].body.count("- taiga:task")) == (True, 3)
    assert await restarted.look(NOW + timedelta(minutes=80)) == 0
    assert await AlertStore(pool).known() == []


async def test_items_that_lack_an_attribute_are_one_thing(pool: Pool) -> None:
    """However many tasks wait for an attribute of their project, its review is what a person hears of."""
    post = Post()
    for task in (1, 2, 3):
        await _event(pool, "dead", task=task)
    await pool.execute("UPDATE events SET outcome_code = 'attribute_missing'")
    reviews = ReviewStore(pool)
    await reviews.open("taiga:project:1", "attribute_missing", '"Billable" is missing in project 1', {})
    assert await Alerts(_settings(), pool, str, post).look(NOW) == 1
    assert [message.body.count("is missing in project 1") for message in post.messages] == [1]
    assert "taiga:task" not in post.messages[0].body
    assert (await AttentionStore(pool).attention(100)).things == 1
    await reviews.close("taiga:project:1", "attribute_missing", "it is there")
    assert (await AttentionStore(pool).attention(100)).things == 3


async def test_repaired_by_a_newer_event(pool: Pool) -> None:
    """A dead event that a newer one of its task has made good is not told, or told as recovered."""
    post = Post()
    alerts = Alerts(_settings(), pool, str, post)
    await _event(pool, "dead")
    await _event(pool, "processed", received=NOW + timedelta(minutes=1))
    assert await alerts.look(NOW) == 0
    await _event(pool, "dead", task=2)
    assert await alerts.look(NOW) == 1
    await _event(pool, "ignored", task=2, received=NOW + timedelta(minutes=1))
    assert await alerts.look(NOW + timedelta(minutes=20)) == 1
    assert [message.is_good_news for message in post.messages] == [False, True]


async def test_every_kind(pool: Pool) -> None:
    """Reviews, plans, unmatched payments, refused credentials and a broken file are told, each in its own message."""
    reviews = ReviewStore(pool)
    await reviews.open("schedule:run", "invoice_plan", "November: 3 invoices", {})
    await reviews.open("stripe:payment:pi_1", "unmatched_payment", "100.00 EUR", {})
    await reviews.open("taiga:task:1", "credit_proposal", "2 h less", {})
    await WorkerStore(pool).note("taiga", "refused", "401")
    post = Post()
    await Alerts(_settings(), pool, lambda: "line 1 is not JSON", post).look(NOW)
    assert sorted(message.title.partition(": ")[2] for message in post.messages) == [
        "1 invoice run waits for approval",
        "1 mapping file is broken",
        "1 payment fits no invoice",
        "1 system refuses our credentials",
        "1 thing needs a person",
    ]


async def test_open_circuit_and_waiting_work(pool: Pool) -> None:
    """A system that is left alone, and work that waits, are told after some minutes."""
    now = datetime.now(UTC)
    await pool.execute(
        "INSERT INTO circuits (system, open_since, message) VALUES ('stripe', $1, 'no connection')",
        now - timedelta(minutes=6),
    )
    await pool.execute(
        "INSERT INTO events (source, type, key, subject, occurred_at, next_attempt_at, body)"
        " VALUES ('taiga', 'task.change', 'k', 's', $1, $1, '')",
        now - timedelta(minutes=20),
    )
    post = Post()
    await Alerts(_settings(), pool, str, post).look(now)
    assert [message.title for message in post.messages] == [
        "taiga-billing: 1 system does not answer",
        "taiga-billing: 1 event waits too long",
    ]


async def test_silence_is_not_broken_by_reconciling(pool: Pool) -> None:
    """What reconciling put in proves no webhook."""
    now = datetime.now(UTC)
    await _event(pool, "processed", received=now - timedelta(hours=30))
    await _event(pool, "processed", received=now, headers='{"x-reconciled-because": "closed"}')
    last = await AttentionStore(pool).last_webhooks(["taiga"])
    assert last["taiga"] == now - timedelta(hours=30)
    post = Post()
    await Alerts(_settings(alert_silent_hours=24), pool, str, post).look(now)
    assert [message.title for message in post.messages] == ["taiga-billing: 1 source is silent"]


async def test_nobody_took_it(pool: Pool) -> None:
    """A message that no address took is sent again later, and not lost."""
    post = Post()
    post.is_away = True
    await _event(pool, "dead")
    alerts = Alerts(_settings(), pool, str, post)
    await alerts.look(NOW)
    post.is_away = False
    assert await alerts.look(NOW + timedelta(seconds=30)) == 0
    assert await alerts.look(NOW + timedelta(seconds=61)) == 1
    assert len(post.messages) == 1


async def test_one_sender(pool: Pool) -> None:
    """While one worker sends, the others leave it alone."""
    await _event(pool, "dead")
    post = Post()
    async with AlertStore(pool).only_sender() as is_ours:
        assert is_ours
        assert await Alerts(_settings(), pool, str, post).look(NOW) == 0
    results = await asyncio.gather(*(Alerts(_settings(), pool, str, post).look(NOW) for _ in range(3)))
    assert (sum(results), len(post.messages)) == (1, 1)


async def test_apprise_sends() -> None:
    """A message goes through apprise to a server; what is refused or unknown is named without its address."""
    arrived = []

    async def take(request: Request) -> Response:
        arrived.append(await request.json())
        return Response(status_code=200)

    async def refuse(_request: Request) -> Response:
        return Response(status_code=500)

    app = Starlette(routes=[Route("/take", take, methods=["POST"]), Route("/refuse", refuse, methods=["POST"])])
    async with serve(app) as url:
        host = url.removeprefix("http://")
        urls = [f"json://{host}/take", f"json://user:hidden@{host}/refuse", "nonsense://hidden"]
        results = await send(urls, Message("A title", "Line 1\nLine 2 <b>"))
    assert [(result.name, result.is_ok) for result in results] == [
        ("1 (json)", True),
        ("2 (json)", False),
        ("3 (nonsense)", False),
    ]
    assert (arrived[0]["title"], arrived[0]["message"]) == ("A title", "Line 1\nLine 2 <b>")
    assert "hidden" not in repr(results)
