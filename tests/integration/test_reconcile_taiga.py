"""Reconciling against the sandbox Taiga: what no webhook told is found, once, and with few requests."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from handlers.errors import RemoteError
from handlers.ports.context import Link
from handlers.reconcile.taiga import FAILURES_IN_A_ROW
from handlers.reconcile.taiga_models import Scope
from middleware.jobs.periodic import NotNowError
from middleware.jobs.reconcile import taiga_run
from middleware.lab.sandbox.faults import Rule
from middleware.lab.sandbox.taiga import setup, work
from middleware.reconcile.runs import AlreadyRunningError
from middleware.reconcile.taiga import TaigaTools, recent_scope
from middleware.store.billing.links import LinkStore
from middleware.store.events.actions import EventActions
from middleware.store.operations.reconcile import RunStore
from tests.support.in_process_bridge import EVERYTHING, Bridge, running_bridge
from tests.support.reconcile.runs import latest_runs

HOUR = timedelta(hours=1)


@pytest.fixture
async def bridge(fresh_database: str, redis_url: str) -> AsyncIterator[Bridge]:
    """A bridge with nothing in it."""
    async with running_bridge(fresh_database, redis_url) as running:
        yield running


async def test_a_task_without_story_is_billed(bridge: Bridge) -> None:
    """Taiga never sends a webhook for it; a run finds it, and a second one has nothing to say."""
    card = bridge.work("Loose end", 2, loose=True).close()
    assert await bridge.deliver() == 0
    report = await bridge.reconcile()
    (difference,) = report.differences
    assert (difference.subject, difference.why) == (f"taiga:task:{card.id}", "closed, but no webhook reported it")
    await bridge.settle()
    assert await bridge.entries() == {f"TAIGA-T{card.id}": "2"}
    assert not (await bridge.reconcile()).differences
    assert await bridge.count() == 1
    assert card.values["Invoice Status"] == "Pending Invoice"


async def test_nothing_is_put_in_that_webhooks_told(bridge: Bridge) -> None:
    """Closed with webhooks: the first run only remembers it, before and after the event was handled."""
    bridge.work().close()
    told = await bridge.deliver()
    assert not (await bridge.reconcile()).differences
    await bridge.settle()
    await bridge.deliver()
    assert not (await bridge.reconcile(Scope(rolling=10))).differences
    assert told > 0


async def test_a_lost_webhook_is_made_up_for(bridge: Bridge) -> None:
    """Closing, more hours, reopening and deleting, each lost: every run puts in exactly the new state."""
    card = bridge.work(hours=2)
    await bridge.deliver()
    card.close()
    await bridge.lose_webhooks()
    number = f"TAIGA-T{card.id}"
    for change, expected in (
        (lambda: card, {number: "2"}),
        (lambda: card.set("Duration (Hours)", 3.5), {number: "3.5"}),
        (card.reopen, {}),
        (card.close, {number: "3.5"}),
        (card.delete, {}),
    ):
        change()
        await bridge.lose_webhooks()
        assert len((await bridge.reconcile(Scope(rolling=10))).differences) == 1
        await bridge.settle()
        await bridge.lose_webhooks()
        assert await bridge.entries() == expected
        assert not (await bridge.reconcile(Scope(rolling=10))).differences


async def test_silent_ways_of_closing_and_opening(bridge: Bridge) -> None:
    """A status declared closed closes its tasks without any event, and opens them again, as often as one likes."""
    card = bridge.work(hours=1).move("In progress")
    await bridge.deliver()
    await bridge.settle()
    status = bridge.place.status("In progress")
    for is_closed in (True, False, True, False):
        status.is_closed = is_closed
        (difference,) = (await bridge.reconcile()).differences
        assert difference.item.is_closed is is_closed
        await bridge.settle()
        assert await bridge.entries() == ({f"TAIGA-T{card.id}": "1"} if is_closed else {})
        assert not (await bridge.reconcile()).differences


async def test_tasks_moved_by_a_deleted_status(bridge: Bridge) -> None:
    """A deleted status moves its tasks into a closed one by SQL: version and dates stand still."""
    bridge.work(hours=1).move("In progress")
    await bridge.deliver()
    place = bridge.place
    setup.delete_status(bridge.team.state, place.status("In progress"), place.status("Closed"))
    assert await bridge.lose_webhooks() == 0
    await bridge.reconcile()
    await bridge.settle()
    assert list((await bridge.entries()).values()) == ["1"]


async def test_tasks_of_a_deleted_story(bridge: Bridge) -> None:
    """They vanish without a webhook of their own; their entries are removed."""
    story = bridge.place.story("Story")
    story.task("Build").fill({"Billable": True, "Duration (Hours)": 1}).close()
    await bridge.deliver()
    await bridge.settle()
    assert len(await bridge.entries()) == 1
    work.delete(bridge.team.state, bridge.team.admin, story.item)
    await bridge.deliver()
    (difference,) = (await bridge.reconcile()).differences
    assert difference.why == "it has a time entry, but is gone from Taiga"
    await bridge.settle()
    assert await bridge.entries() == {}
    assert not (await bridge.reconcile()).differences


async def test_what_would_come_to_nothing_stays_out(bridge: Bridge) -> None:
    """Closed work that is not billable makes no event; nonsense in the hours does, for a person has to see it."""
    bridge.place.loose_task("Tea").set("Duration (Hours)", 1).close()
    bridge.work("No hours", None, loose=True).close()
    bridge.work("Nonsense", "about two", loose=True).close()
    (difference,) = (await bridge.reconcile()).differences
    assert difference.item.subject == "Nonsense"
    await bridge.settle()
    assert await bridge.count("status = 'dead'") == 1
    assert not (await bridge.reconcile(Scope(rolling=10))).differences
    assert await bridge.count() == 1


async def test_hours_typed_after_closing_are_found_by_the_rolling_look(bridge: Bridge) -> None:
    """Only attributes changed, so no list tells it: the rolling look comes by, oldest first, and is bounded."""
    cards = [bridge.work(f"Task {n}", None, loose=True).close() for n in range(6)]
    await bridge.reconcile()
    for card in cards:
        card.set("Duration (Hours)", 1)
    found = []
    for _ in range(3):
        report = await bridge.reconcile(Scope(rolling=2))
        assert report.items_read == 2
        found += [one.item.id for one in report.differences]
    assert sorted(found) == [card.id for card in cards]
    assert (await bridge.reconcile(Scope(rolling=2))).differences == ()


async def test_many_tasks_do_not_mean_many_requests(bridge: Bridge) -> None:
    """2,000 closed tasks: the first run reads each once, the next ones ask for pages and the rolling few."""
    for n in range(2000):
        bridge.place.loose_task(f"Task {n}", status="Closed")
    await bridge.reconcile()
    bridge.taiga_faults.requests.clear()
    report = await bridge.reconcile(Scope(rolling=50))
    assert (report.looked_at, report.items_read) == (2000, 50)
    assert bridge.taiga_faults.count("GET", "") <= 10 + 2 * 50 + 5
    bridge.taiga_faults.requests.clear()
    await bridge.reconcile(Scope(since=datetime.now(UTC) + HOUR, rolling=0))
    assert bridge.taiga_faults.count("GET", "") <= 2


async def test_a_first_run_is_bounded_and_goes_on(bridge: Bridge) -> None:
    """More news than a run may read is left to the next ones; the newest come first."""
    for n in range(5):
        bridge.work(f"Task {n}", 1, loose=True).close()
    reports = [await bridge.reconcile(Scope(rolling=0, most_reads=2)) for _ in range(4)]
    assert [report.postponed for report in reports] == [3, 1, 0, 0]
    assert [len(report.differences) for report in reports] == [2, 2, 1, 0]


async def test_a_dry_run_changes_nothing(bridge: Bridge) -> None:
    """It tells what would be enqueued, stores nothing, and is not remembered as a run."""
    bridge.work(loose=True).close()
    for _ in range(2):
        assert len((await bridge.reconcile(dry_run=True)).differences) == 1
    assert await bridge.count() == 0
    assert await bridge.pool.fetchval("SELECT count(*) FROM seen") == 0
    assert await latest_runs(bridge.pool, "taiga") == []
    assert len((await bridge.reconcile()).differences) == 1


async def test_a_run_killed_between_putting_in_and_remembering(bridge: Bridge) -> None:
    """The next run finds its own event and adds nothing."""
    bridge.work(loose=True).close()
    await bridge.reconcile()
    await bridge.pool.execute("DELETE FROM seen")
    assert not (await bridge.reconcile()).differences
    assert await bridge.count() == 1


async def test_an_event_that_a_person_discarded_stays_away(bridge: Bridge) -> None:
    """A dead event that was discarded is not put in again while nothing changes."""
    bridge.work("Nonsense", "about two", loose=True).close()
    await bridge.reconcile()
    await bridge.settle()
    event_id = await bridge.pool.fetchval("SELECT id FROM events")
    await EventActions(bridge.pool).discard([event_id], "done by hand", "ada")
    assert not (await bridge.reconcile(Scope(rolling=10))).differences


async def test_a_project_that_is_closed_to_us_removes_nothing(bridge: Bridge) -> None:
    """When our account loses a project, its list is empty or refused: entries stay, and the run says so."""
    card = bridge.work().close()
    await bridge.deliver()
    await bridge.settle()
    await bridge.reconcile()
    bridge.taiga_faults.add(Rule(path=r"/tasks\?", status=200, body=[], times=None))
    bridge.taiga_faults.add(Rule(path=rf"/tasks/{card.id}$", status=403, times=None))
    report = await bridge.reconcile()
    assert not report.differences
    assert f"taiga:task:{card.id} was left out" in report.problems[0]
    bridge.taiga_faults.clear()
    bridge.taiga_faults.add(Rule(path=r"/tasks\?", status=403, times=None))
    assert "project 1 was left out" in (await bridge.reconcile()).problems[0]
    assert len(await bridge.entries()) == 1


async def test_runs_are_remembered(bridge: Bridge) -> None:
    """Each run leaves a line; a failed one too, and the next recent one looks further back than the last good one."""
    bridge.work(loose=True).close()
    await bridge.reconcile()
    bridge.taiga_faults.add(Rule(path="/tasks", status=500, times=None))
    with pytest.raises(RemoteError):
        await bridge.reconcile()
    failed, good = await latest_runs(bridge.pool, "taiga")
    assert (good.looked_at, good.differed, good.message) == (1, 1, "")
    assert failed.finished_at is not None
    assert "500" in failed.message
    scope = await recent_scope(bridge.pool, datetime.now(UTC))
    lately = datetime.now(UTC) - timedelta(days=3)
    assert scope.since is not None
    assert scope.since <= lately < good.started_at
    long_ago = timedelta(days=5)
    await bridge.pool.execute("UPDATE reconcile_runs SET started_at = started_at - $1::interval", long_ago)
    assert (await recent_scope(bridge.pool, datetime.now(UTC))).since == good.started_at - long_ago - HOUR
    tools = TaigaTools(bridge.taiga, bridge.mapping, bridge.pool, bridge.ingest)
    with pytest.raises(NotNowError, match="500"):
        await taiga_run(tools, "recent")
    bridge.taiga_faults.clear()
    assert await taiga_run(tools, "recent") == "1 looked at, 0 enqueued"


async def test_two_runs_at_a_time(bridge: Bridge) -> None:
    """The second one refuses: it would read everything twice."""
    async with RunStore(bridge.pool).alone("taiga"):
        with pytest.raises(AlreadyRunningError):
            await bridge.reconcile(EVERYTHING)


async def test_an_entry_whose_task_nobody_remembers(bridge: Bridge) -> None:
    """A link without any event, its task gone: the run names it instead of guessing."""
    await LinkStore(bridge.pool).save(Link("taiga:task:4711", "time_entry", "TAIGA-T4711", "t1", {}))
    report = await bridge.reconcile()
    assert report.problems == ("taiga:task:4711 is gone from Taiga, and no event says what it was",)
    assert not report.differences


async def test_taiga_fails_while_values_are_read(bridge: Bridge) -> None:
    """The run ends with Taiga's error when it is not about one item; the next one does it all."""
    for _ in range(FAILURES_IN_A_ROW):
        bridge.work(loose=True).close()
    bridge.taiga_faults.add(Rule(path="custom-attributes-values", status=500, times=None))
    with pytest.raises(RemoteError):
        await bridge.reconcile()
    bridge.taiga_faults.clear()
    assert len((await bridge.reconcile()).differences) == FAILURES_IN_A_ROW


async def test_an_item_that_vanishes_between_list_and_look(bridge: Bridge) -> None:
    """It is remembered as gone; with a time entry, its end is put in."""
    card = bridge.work().close()
    await bridge.deliver()
    await bridge.settle()
    answer = {"_error_message": "No Task matches the given query.", "_error_type": "taiga.base.exceptions.NotFound"}
    bridge.taiga_faults.add(Rule(path=f"custom-attributes-values/{card.id}", status=404, body=answer))
    (difference,) = (await bridge.reconcile()).differences
    assert (difference.item.is_deleted, difference.item.subject) == (True, "Build")


async def test_recent_changes_of_open_work_are_not_asked_about(bridge: Bridge) -> None:
    """Open work without a time entry needs no request of its own, however often it changes."""
    card = bridge.work(loose=True).close()
    card.set("Billable", "")
    await bridge.reconcile()
    card.reopen()
    await bridge.reconcile(Scope(rolling=0))
    card.rename("Another name")
    report = await bridge.reconcile(Scope(since=datetime.now(UTC) - HOUR, rolling=0))
    assert (report.looked_at, report.items_read) == (1, 0)


async def test_a_body_that_was_removed_is_no_news(bridge: Bridge) -> None:
    """When retention removed what the newest event told, the last look knows it."""
    card = bridge.work(loose=True).close()
    await bridge.reconcile()
    await bridge.settle()
    await bridge.pool.execute("UPDATE events SET body = ''")
    assert not (await bridge.reconcile(Scope(rolling=10))).differences
    card.set("Duration (Hours)", 9)
    assert len((await bridge.reconcile(Scope(rolling=10))).differences) == 1
