"""What a replay would do is told without doing it, and is what it then does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import click
import pytest
from pydantic import SecretStr

from handlers.ports.context import Context
from middleware.commands.events import actions as event_acting
from middleware.lab.sandbox.faults import Rule
from middleware.replay.dry_run import Effect, dry_run
from middleware.settings import Settings
from middleware.store.events.actions import EventActions
from middleware.store.events.replayed import as_replayed
from middleware.store.events.search import EventFilter
from tests.support.in_process_bridge import Bridge, running_bridge

WRITES = "POST|PUT|PATCH|DELETE"


@pytest.fixture
async def bridge(fresh_database: str, redis_url: str) -> AsyncIterator[Bridge]:
    """A bridge with nothing in it."""
    async with running_bridge(fresh_database, redis_url) as running:
        yield running


async def _told(bridge: Bridge, *event_ids: int) -> list[Effect]:
    """The dry run; it must have written nothing anywhere."""
    state = "SELECT (SELECT count(*) FROM links), (SELECT count(*) FROM reviews), (SELECT max(attempts) FROM events)"
    before = await bridge.pool.fetchrow(state)
    bridge.ninja_faults.requests.clear()
    bridge.taiga_faults.requests.clear()
    now = datetime.now(UTC)
    ids = list(event_ids) or [row["id"] for row in await bridge.pool.fetch("SELECT id FROM events ORDER BY id")]
    claims = await as_replayed(bridge.pool, ids, now)
    effects = [effect for claim in claims for effect in await dry_run(claim, bridge.context, now)]
    assert bridge.ninja_faults.count(WRITES) == 0
    assert bridge.taiga_faults.count("PUT|PATCH|DELETE") == 0
    assert await bridge.pool.fetchrow(state) == before
    return sorted(effects, key=lambda effect: effect.event_id)


async def _replay(bridge: Bridge) -> None:
    rows = await bridge.pool.fetch("SELECT id FROM events ORDER BY id")
    await EventActions(bridge.pool).replay([row["id"] for row in rows], "test")
    await bridge.settle()


async def test_create_then_nothing(bridge: Bridge) -> None:
    """The entry would be created with its write-back; after the real thing nothing is left to do."""
    card = bridge.work(hours=2, loose=True).close()
    await bridge.reconcile()
    (effect,) = await _told(bridge)
    assert effect.effect == "create"
    assert effect.steps == (
        f"create time entry TAIGA-T{card.id}: 2 h at 75.00",
        f"write the attributes of task {card.id} in Taiga",
    )
    await bridge.settle()
    (effect,) = await _told(bridge)
    assert (effect.effect, effect.steps) == ("nothing", ())
    assert "2 h already" in effect.reason


async def test_update_and_delete(bridge: Bridge) -> None:
    """More hours would update it, an open task would delete it."""
    card = bridge.work(hours=2, loose=True).close()
    await bridge.reconcile()
    await bridge.settle()
    card.set("Duration (Hours)", 5)
    (effect,) = await _told(bridge)
    assert (effect.effect, effect.steps[0]) == ("update", f"update time entry TAIGA-T{card.id}: 5 h at 75.00")
    card.reopen()
    (effect,) = await _told(bridge)
    assert (effect.effect, effect.steps[0]) == ("delete", f"delete time entry TAIGA-T{card.id}")
    assert await bridge.entries() == {f"TAIGA-T{card.id}": "2"}
    await _replay(bridge)
    assert await bridge.entries() == {}
    card.close()
    (effect,) = await _told(bridge)
    assert effect.steps[0] == f"restore time entry TAIGA-T{card.id}"


async def test_an_entry_that_somebody_made_meanwhile_would_be_adopted(bridge: Bridge) -> None:
    """The number is taken though no link tells it: the dry run refuses it like the server, and adopts."""
    card = bridge.work(hours=2, loose=True).close()
    await bridge.reconcile()
    await bridge.settle()
    await bridge.pool.execute("DELETE FROM links")
    (effect,) = await _told(bridge)
    assert effect.steps == (f"update time entry TAIGA-T{card.id}: 2 h at 75.00",)
    assert "adopted" in effect.reason


async def test_what_would_be_dead_or_tried_again(bridge: Bridge) -> None:
    """Nonsense would be dead with its hint; a system that is away, tried again."""
    bridge.work(hours="about two", loose=True).close()
    await bridge.reconcile()
    (effect,) = await _told(bridge)
    assert (effect.effect, "about two" in effect.reason) == ("dead", True)
    assert effect.hint
    bridge.taiga_faults.add(Rule(path="/tasks", status=500, times=None))
    (effect,) = await _told(bridge)
    assert (effect.effect, "500" in effect.reason) == ("retry", True)


async def test_events_of_one_task_are_taken_together(bridge: Bridge) -> None:
    """Replayed together they are settled once; the newest state decides, also when an old one alone is replayed."""
    card = bridge.work(hours=2).close()
    count = await bridge.deliver()
    effects = await _told(bridge)
    assert [effect.effect for effect in effects if effect.subject == f"taiga:task:{card.id}"].count("create") == 1
    assert len(effects) == count
    lead = next(effect for effect in effects if effect.effect == "create")
    others = [effect for effect in effects if effect.together_with == lead.event_id]
    assert others
    assert all(effect.reason == f"taken together with event {lead.event_id}" for effect in others)
    (alone,) = await _told(bridge, others[0].event_id)
    assert alone.effect == "create"


async def test_a_credit_would_be_asked_for(bridge: Bridge) -> None:
    """Fewer hours than invoiced: a person would be asked, and nobody is yet."""
    card = bridge.work(hours=4, loose=True).close()
    await bridge.reconcile()
    await bridge.settle()
    entry = await bridge.ninja.find_task(f"TAIGA-T{card.id}")
    assert entry is not None
    await bridge.invoice(entry)
    card.set("Duration (Hours)", 1)
    (effect,) = await _told(bridge)
    assert effect.effect in {"review", "update"}
    assert any("credit" in step for step in effect.steps)


async def test_the_command_tells_each_effect(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Chosen by filter, in the order of the events, with steps, hints and a sum; 3: something would change."""

    @asynccontextmanager
    async def context_of_the_bridge(settings: Settings, *_: object) -> AsyncIterator[Context]:
        assert not settings.redis_url.get_secret_value()
        yield bridge.context

    monkeypatch.setattr(event_acting, "open_context", context_of_the_bridge)
    monkeypatch.setattr(event_acting, "load_mapping", lambda _file: bridge.mapping)
    card = bridge.work("Good", 2, loose=True).close()
    bridge.work("Nonsense", "about two", loose=True).close()
    await bridge.reconcile()
    settings = Settings(
        _env_file=None,
        taiga_webhook_secrets=(SecretStr("k"),),
        database_url=SecretStr(bridge.url),
        redis_url=SecretStr("redis://127.0.0.1:9"),
    )
    effects = await event_acting._dry_run(settings, (), EventFilter(source="taiga"), 100)
    with pytest.raises(click.exceptions.Exit) as ended:
        event_acting._show(effects, as_json=False)
    assert ended.value.exit_code == 3
    told = capsys.readouterr().out
    assert f"create time entry TAIGA-T{card.id}: 2 h at 75" in told
    assert "would be dead: " in told
    assert "    hint: " in told
    assert told.splitlines()[-1].startswith("2 events: 1 ")
    assert await bridge.count("status = 'received'") == 2
    (unknown,) = await event_acting._dry_run(settings, (99,), EventFilter(), 100)
    event_acting._show([unknown], as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["effect"] == "nothing"
