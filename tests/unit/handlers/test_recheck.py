"""A recheck repairs what a request did that was carried out long after we gave it up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from handlers.errors import Doubtful
from handlers.event import SCHEDULE, Event, Work
from handlers.outcome import Ignored, Processed
from handlers.recheck import RECHECK, is_recheck
from handlers.registry import dispatch
from mappings.codes import Code
from mappings.invoiceninja.tasks import LogEntry, Task
from tests.support.fakes import NINJA
from tests.support.webhook_story import Feed, Story, world

BOTH = pytest.mark.parametrize("reads_taiga", [False, True], ids=["payload", "taiga"])


def look_after(event: Event) -> Event:
    """The event of a recheck, as the store makes it."""
    before = event.occurred_at - timedelta(microseconds=1)
    payload = {"because": "PUT /tasks/t1: the answer was lost", "after_event": event.id}
    return replace(event, id=900, source=SCHEDULE, type=RECHECK, key="look", occurred_at=before, payload=payload)


def story_of(hours: float = 2) -> Story:
    """A closed, billable task."""
    story = Story()
    story.type(billable=True, hours=hours)
    story.close()
    return story


async def told_then_older(feed: Feed, story: Story) -> None:
    """The entry of two hours becomes one of three, and a write of two is carried out only then."""
    await feed.told(story)
    (old,) = feed.world.ninja.tasks.values()
    story.type(hours=3)
    await feed.told(story)
    feed.world.ninja.tasks[old.id] = old


@BOTH
async def test_late_update_is_repaired(*, reads_taiga: bool) -> None:
    """A write that was carried out late restored an older state: the newest one is written again, once."""
    feed, story = Feed(world(reads_taiga=reads_taiga)), story_of()
    await told_then_older(feed, story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    look = look_after(story.events[-1])
    assert await feed.deliver(look) == Processed(Code.TIME_RECORDED, "TAIGA-T7 updated: 3 h at 75.00")
    assert await feed.deliver(look) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 3 h already")
    assert feed.world.ninja.hours == {"TAIGA-T7": 3}


@BOTH
async def test_late_creation_is_removed(*, reads_taiga: bool) -> None:
    """A creation that was carried out after the work had become unbillable leaves no entry behind."""
    feed, story = Feed(world(reads_taiga=reads_taiga)), story_of()
    feed.world.ninja.before("create_task", Doubtful(NINJA, "POST /tasks", "the answer was lost"))
    with pytest.raises(Doubtful):
        await feed.told(story)
    story.type(billable=False)
    assert isinstance(await feed.told(story), Ignored)
    ninja = feed.world.ninja
    ninja.tasks["t9"] = Task(
        "t9", "TAIGA-T7", "acme", "site", "Task #3: Build login form", Decimal(75), (LogEntry(0, 7200),)
    )
    outcome = await feed.deliver(look_after(story.events[-1]))
    assert isinstance(outcome, Processed)
    assert "TAIGA-T7 removed (2 h)" in outcome.reason
    assert ninja.live == {}


@BOTH
async def test_late_deletion_is_undone(*, reads_taiga: bool) -> None:
    """A deletion that was carried out after the work had become billable again is undone."""
    feed, story = Feed(world(reads_taiga=reads_taiga)), story_of()
    await feed.told(story)
    feed.world.ninja.delete("TAIGA-T7")
    assert await feed.deliver(look_after(story.events[-1])) == Processed(
        Code.TIME_RECORDED, "TAIGA-T7 restored: 2 h at 75.00"
    )


async def test_nothing_else_is_known() -> None:
    """When all other events of a subject were discarded, there is nothing to converge to."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    look = Event(1, SCHEDULE, RECHECK, "look", "taiga:task:7", moment, moment, {})
    outcome = await dispatch(Work(look.subject, (look,), look), world().context)
    assert outcome == Ignored(Code.NOTHING_TO_RECHECK, "nothing else is left of this subject")
    assert is_recheck(look)
    assert not is_recheck(replace(look, source="taiga"))
