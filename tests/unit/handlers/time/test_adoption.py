"""Only what is ours is adopted: a number of ours may belong to the entry of other work."""

from decimal import Decimal

import pytest

from handlers.errors import Doubtful, NeedsPerson
from handlers.outcome import Processed
from handlers.ports.context import Link
from mappings.codes import Code
from mappings.time.models import TimeEntry
from tests.support.fakes import NINJA
from tests.support.webhook_story import Feed, Story, world

KEY = ("taiga:task:7", "time_entry", "TAIGA-T7")


async def taken(feed: Feed, client: str = "acme", description: str = "Task #9: Of the other Taiga") -> None:
    """Invoice Ninja holds 7 hours of other work under our number."""
    entry = TimeEntry("TAIGA-T7", description, client, "", Decimal(60), Decimal(7), Decimal(7), 0, 25200)
    await feed.world.ninja.create_task(entry, client)


def closed(**fields: object) -> Story:
    """A closed task of 2 hours."""
    story = Story(**fields)  # type: ignore[arg-type]  # fields of a story
    story.type(billable=True, hours=2)
    story.close()
    return story


async def refused(feed: Feed, story: Story) -> str:
    """Converge; returns why a person is needed."""
    with pytest.raises(NeedsPerson) as caught:
        await feed.deliver(story.events[-1])
    assert caught.value.code == Code.NUMBER_TAKEN
    return f"{caught.value.reason}: {caught.value.hint}"


@pytest.mark.parametrize("client", ["acme", "other"])
async def test_entries_of_another_taiga_stay(client: str) -> None:
    """Both works are named, nothing of the other one changes, now or when our work is opened again."""
    feed, story = Feed(world()), closed()
    await taken(feed, client)
    for _ in range(2):
        why = await refused(feed, story)
        assert 'number TAIGA-T7 belongs to other work in Invoice Ninja: "Task #9: Of the other Taiga"' in why
        assert f'of client {client}; this is "Task #3: Build login form" of client acme' in why
        assert "TAIGA_NUMBER_PREFIX" in why
    story.reopen()
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 7}
    assert KEY not in feed.world.links.rows


async def test_an_intent_of_ours_that_met_other_work() -> None:
    """A worker that died between the intent and the answer leaves other people's entry alone, too."""
    feed, story = Feed(world()), closed()
    await taken(feed)
    feed.world.links.rows[KEY] = Link(*KEY, "", {"descriptions": ["Task #3: Build login form"]})
    await refused(feed, story)
    feed.world.links.rows[KEY] = Link(*KEY, "", {"descriptions": ["Task #3: Build login form"]})
    story.reopen()
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 7}


async def test_a_lost_answer_and_another_subject() -> None:
    """An entry whose answer was lost is adopted, also when the subject is another one by then."""
    feed, story = Feed(world()), closed()
    feed.world.ninja.after("create_task", Doubtful(NINJA, "POST /tasks", "the answer was lost"))
    feed.world.ninja.before("find_task", Doubtful(NINJA, "GET /tasks", "the answer was lost"))
    with pytest.raises(Doubtful):
        await feed.deliver(story.events[-1])
    story.tell(subject="Build the login form")
    assert isinstance(await feed.told(story), Processed)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    (task,) = feed.world.ninja.tasks.values()
    assert task.description == "Task #3: Build the login form"


async def test_answers_that_are_lost_again_and_again() -> None:
    """Every description under which an entry was asked for is known, for whichever request was carried out."""
    feed, story = Feed(world()), closed()
    feed.world.ninja.before("create_task", *[Doubtful(NINJA, "POST /tasks", "lost")] * 2)
    for subject in ("One", "Two"):
        story.tell(subject=subject)
        with pytest.raises(Doubtful):
            await feed.deliver(story.events[-1])
    await taken(feed, description="Task #3: One")
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_intents_of_an_older_version() -> None:
    """An intent that does not say what was asked for adopts what has its number, as it did."""
    feed, story = Feed(world()), closed()
    feed.world.links.rows[KEY] = Link(*KEY, "", {})
    feed.world.ninja.before("find_task", lambda: None)
    feed.world.ninja.before("create_task", Doubtful(NINJA, "POST /tasks", "lost"))
    with pytest.raises(Doubtful):
        await feed.deliver(story.events[-1])
    await taken(feed)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_a_lost_memory() -> None:
    """When links are lost, the entry of just this work is found again."""
    feed, story = Feed(world()), closed()
    await feed.told(story)
    feed.world.links.rows.clear()
    assert "TAIGA-T7 adopted" in (await feed.told(story)).reason
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_an_entry_that_was_made_anew_elsewhere() -> None:
    """An entry that is gone by its id and whose number is that of other work is not taken for ours."""
    feed, story = Feed(world()), closed()
    await feed.told(story)
    feed.world.ninja.tasks.clear()
    await taken(feed)
    await refused(feed, story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 7}


async def test_a_prefix_of_its_own() -> None:
    """New entries have the configured prefix, and those that exist keep their number when it changes."""
    feed, story = Feed(world()), closed()
    await feed.told(story)
    other = closed(id=8, ref=4)
    feed.world.number_prefix = "WEST-"
    await Feed(feed.world).told(other)
    story.type(hours=3)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 3, "WEST-T8": 2}
    feed.world.ninja.invoice("TAIGA-T7")
    story.type(hours=4)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 3, "TAIGA-T7-2": 1, "WEST-T8": 2}
