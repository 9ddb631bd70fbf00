"""Lost answers, kills and taken numbers: whatever is doubtful is looked up, and there is one entry in the end."""

from collections.abc import Callable

import pytest

from handlers.errors import Doubtful, Rejected, RetryLater, ServerError, Throttled, Unreachable, WorkError
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from tests.support.fakes import NINJA, FakeNinja
from tests.support.webhook_story import Feed, Story, world


def story_of(hours: float = 2) -> Story:
    """A closed, billable task."""
    story = Story()
    story.type(billable=True, hours=hours)
    story.close()
    return story


def lost() -> Doubtful:
    """The answer was lost."""
    return Doubtful(NINJA, "POST /tasks", "the answer was lost")


def broken() -> ServerError:
    """The server failed."""
    return ServerError(NINJA, "POST /tasks", "Server Error", status=500)


LOST = pytest.mark.parametrize("error", [lost, broken])


@LOST
async def test_answer_lost_after_the_effect(error: Callable[[], WorkError]) -> None:
    """An entry that was made although its answer was lost is adopted in the same try."""
    feed, story = Feed(world()), story_of()
    feed.world.ninja.after("create_task", error())
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 adopted: 2 h at 75.00")
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 2 h already")


@LOST
async def test_answer_lost_without_the_effect(error: Callable[[], WorkError]) -> None:
    """A creation that failed for good is reported as it failed, and made in the next try."""
    feed, story = Feed(world()), story_of()
    feed.world.ninja.before("create_task", error())
    with pytest.raises(type(error())):
        await feed.told(story)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_effect_that_comes_later_than_the_look() -> None:
    """A server that answers nothing and makes the entry only afterwards: the next try finds it by its number."""
    feed, story = Feed(world()), story_of()
    feed.world.ninja.after("create_task", lost())
    feed.world.ninja.before("find_task", lost())
    with pytest.raises(Doubtful):
        await feed.told(story)
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 2 h already")
    assert len(feed.world.ninja.tasks) == 1


@pytest.mark.parametrize(
    "error",
    [
        Unreachable(NINJA, "POST /tasks", "no connection"),
        Throttled(NINJA, "POST /tasks", "Too many requests", retry_after=60, status=429),
    ],
)
async def test_nothing_was_done_and_that_is_known(error: WorkError) -> None:
    """What surely was not carried out is not looked up."""
    feed, story = Feed(world()), story_of()
    feed.world.ninja.before("create_task", error)
    with pytest.raises(type(error)):
        await feed.told(story)
    assert feed.world.ninja.count("find_task") == 0


async def test_killed_between_request_and_commit() -> None:
    """The entry was made but its link was never saved: it is adopted under its number."""
    feed, story = Feed(world()), story_of()
    feed.world.links.lose_next = ConnectionError("killed")
    with pytest.raises(ConnectionError):
        await feed.told(story)
    feed.world.links.rows.clear()
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 adopted: 2 h at 75.00")
    assert len(feed.world.ninja.tasks) == 1


async def test_killed_after_the_intent() -> None:
    """The intent was saved and the entry made: the next try finds it without asking to make it again."""
    feed, story = Feed(world()), story_of()
    feed.world.links.lose_next = ConnectionError("killed")
    with pytest.raises(ConnectionError):
        await feed.told(story)
    await feed.told(story)
    assert feed.world.ninja.count("create_task") == 1
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_number_taken_by_a_deleted_entry() -> None:
    """A number that a deleted entry holds is taken over by restoring that entry."""
    feed, story = Feed(world()), story_of()
    await feed.told(story)
    feed.world.links.rows.clear()
    feed.world.ninja.delete("TAIGA-T7")
    await feed.told(story)
    assert len(feed.world.ninja.tasks) == 1
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_number_taken_by_an_invoiced_entry() -> None:
    """All links are lost, the entry is invoiced, the hours have grown: the difference becomes a correction."""
    feed, story = Feed(world()), story_of()
    await feed.told(story)
    feed.world.links.rows.clear()
    feed.world.ninja.invoice("TAIGA-T7")
    story.type(hours=5)
    with pytest.raises(RetryLater, match="on an invoice already"):
        await feed.told(story)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 3}


async def test_number_taken_out_of_sight() -> None:
    """A number that is taken by what our token cannot see is for a person."""
    feed, story = Feed(world()), story_of()
    await feed.told(story)
    feed.world.links.rows.clear()
    ninja = feed.world.ninja
    hidden = dict(ninja.tasks)

    class Blind(FakeNinja):
        async def find_task(self, _number: str) -> None:
            return None

    feed.world.ninja = Blind()
    feed.world.ninja.tasks = hidden
    with pytest.raises(Rejected, match="has already been taken"):
        await feed.told(story)


async def test_answer_to_an_update_lost() -> None:
    """An update whose answer was lost is found done by the next try."""
    feed, story = Feed(world()), story_of()
    await feed.told(story)
    feed.world.ninja.after("update_task", lost())
    story.type(hours=4)
    with pytest.raises(Doubtful):
        await feed.told(story)
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 4 h already")
    assert feed.world.ninja.count("update_task") == 1


@pytest.mark.parametrize("call", ["delete_task", "restore_task"])
async def test_answer_to_a_removal_lost(call: str) -> None:
    """A removal or restoration whose answer was lost is done once more, and ends right."""
    feed, story = Feed(world()), story_of()
    await feed.told(story)
    for step, expected in ((story.reopen, {}), (story.close, {"TAIGA-T7": 2})):
        feed.world.ninja.after(call, lost())
        step()
        try:
            await feed.told(story)
        except Doubtful:
            await feed.told(story)
        assert feed.world.ninja.hours == expected


async def test_intent_that_never_became_an_entry() -> None:
    """Work that is unbilled before its entry could be made leaves nothing to take back."""
    feed, story = Feed(world()), story_of()
    feed.world.ninja.before("create_task", Unreachable(NINJA, "POST /tasks", "no connection"))
    with pytest.raises(Unreachable):
        await feed.told(story)
    story.type(billable=False)
    assert await feed.told(story) == Ignored(Code.NOT_MARKED_BILLABLE, "not marked billable")
    assert feed.world.ninja.tasks == {}
