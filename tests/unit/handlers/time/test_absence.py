"""Absence is not "no": what Taiga does not show leaves recorded hours as they are, and says so once for a project."""

import pytest

from handlers.errors import NeedsPerson
from handlers.outcome import Ignored, Processed
from handlers.reconcile.taiga_models import Scope
from mappings.codes import Code
from mappings.config.file import MappingFile
from tests.support.fakes import FakeTaiga, rejected
from tests.support.reconcile.reconcile_fakes import Board
from tests.support.webhook_story import Feed, Story, world

PROJECT = ("taiga:project:1", "attribute_missing")


async def recorded(**values: object) -> tuple[Story, Feed, FakeTaiga]:
    """A closed task of 2 hours that is recorded, in a Taiga that we read."""
    story, feed = Story(), Feed(world(reads_taiga=True))
    story.type(billable=True, hours=2, **values)
    story.close()
    await feed.told(story)
    assert feed.world.taiga is not None
    return story, feed, feed.world.taiga


def told(story: Story) -> Story:
    """The story after something was told of it."""
    story.tell()
    return story


async def again(feed: Feed, story: Story) -> str:
    """Something else happens to the task, such as a comment; returns why it is dead."""
    with pytest.raises(NeedsPerson) as caught:
        await feed.deliver(story.tell())
    assert caught.value.code == Code.ATTRIBUTE_MISSING
    return f"{caught.value.reason}: {caught.value.hint}"


@pytest.mark.parametrize(
    ("name", "new", "field"),
    [("Billable", "Billable to customer", "billable"), ("Duration (Hours)", "Duration", "hours")],
)
async def test_a_renamed_attribute(name: str, new: str, field: str) -> None:
    """The hours stay, the hint names the new name, one review for the project is open, and it heals by itself."""
    story, feed, taiga = await recorded()
    taiga.rename_attribute(name, new)
    why = await again(feed, story)
    assert f'"{name}" is not set: project 1 (Project 1) has no attribute of this name' in why
    assert f'"{new}" looks like its new name' in why
    assert f'mappings adopt-attribute 1 {field} "{new}"' in why
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    assert list(feed.world.reviews.opened) == [PROJECT]
    taiga.rename_attribute(new, name)
    assert isinstance(await feed.deliver(story.tell()), Processed)
    assert feed.world.reviews.opened == {}


async def test_a_billed_entry_gets_no_credit_proposal() -> None:
    """Hours on an invoice are not proposed for a credit because an attribute is gone."""
    story, feed, taiga = await recorded()
    feed.world.ninja.invoice("TAIGA-T7")
    taiga.definitions = [one for one in taiga.definitions if one.name != "Billable"]
    assert 'add the attribute "Billable"' in await again(feed, story)
    assert list(feed.world.reviews.opened) == [PROJECT]


async def test_an_account_that_sees_no_attributes() -> None:
    """A list of attributes that is empty for want of rights removes nothing."""
    story, feed, taiga = await recorded()
    taiga.definitions = []
    await again(feed, story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_new_work_waits_too() -> None:
    """Work that is closed while an attribute is missing waits for it instead of being passed over as not billable."""
    feed = Feed(world(reads_taiga=True))
    assert feed.world.taiga is not None
    feed.world.taiga.definitions = []
    story = Story()
    story.tell(is_closed=True, finished_at=story.now)
    feed.world.taiga.put(story.item)
    await again(feed, story)
    story.reopen()
    feed.world.taiga.put(story.item)
    assert isinstance(await feed.deliver(story.events[-1]), Ignored)


async def test_attributes_that_are_not_needed() -> None:
    """A project without the optional attributes is billed, until one of them was used or seems to be renamed."""
    story, feed, taiga = await recorded()
    taiga.rename_attribute("Hourly Rate", "Rate")
    taiga.rename_attribute("Client Invoice ID", "Customer")
    new = Story(id=8, ref=4, is_closed=True, finished_at=story.now)
    new.values = {"Billable": True, "Duration (Hours)": 3}
    assert isinstance(await Feed(feed.world).told(told(new)), Processed)
    assert isinstance(await feed.deliver(story.tell()), Processed)
    taiga.fill_in("task", 7, "Rate", 95)
    assert '"Rate" looks like its new name' in await again(feed, story)


@pytest.mark.parametrize(("name", "typed"), [("Hourly Rate", {"rate": 95}), ("Client Invoice ID", {"client": "other"})])
async def test_attributes_that_were_used(name: str, typed: dict[str, object]) -> None:
    """A rate or client that was typed into the task does not fall back to the project's when its attribute is gone."""
    story, feed, taiga = await recorded(**typed)
    before = dict(feed.world.ninja.live)
    taiga.rename_attribute(name, "something else")
    await again(feed, story)
    assert feed.world.ninja.live == before


async def test_without_credentials() -> None:
    """A webhook that has an attribute like the one that is missing removes nothing; an emptied one does."""
    story, feed = Story(), Feed(world())
    story.type(billable=True, hours=2)
    story.close()
    await feed.told(story)
    story.values = {"Billable for customers": True, "Duration (Hours)": 2}
    await again(feed, story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    story.values = {"Billable": True}
    await feed.deliver(story.tell())
    assert feed.world.ninja.hours == {}


async def test_work_that_moved_without_its_values() -> None:
    """A task that moved to another project, where its values are none, keeps its hours until they are typed again."""
    story, feed, taiga = await recorded()
    story.project_id, story.values = 2, {}
    taiga.put(story.item)
    with pytest.raises(NeedsPerson, match="moved from another project") as caught:
        await feed.deliver(story.tell())
    assert caught.value.code == Code.VALUES_LEFT_BEHIND
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    assert feed.world.reviews.opened == {}


async def test_a_project_that_is_no_longer_mapped() -> None:
    """Hours of a project whose mapping, and with it the names of its attributes, was taken out stay as they are."""
    story = Story()
    feed = Feed(world(reads_taiga=True, project={"attributes": {"billable": "To bill"}}))
    assert feed.world.taiga is not None
    feed.world.taiga.rename_attribute("Billable", "To bill")
    story.values = {"To bill": True, "Duration (Hours)": 2}
    story.close()
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    feed.world.mapping = MappingFile()
    await again(feed, story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_a_forged_deletion() -> None:
    """A webhook that tells of a deletion is believed when Taiga has the task no more, and only then."""
    story, feed, taiga = await recorded()
    assert isinstance(await feed.deliver(story.delete()), Processed)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    del taiga.items["task", 7]
    await feed.deliver(story.delete())
    assert feed.world.ninja.hours == {}


@pytest.mark.parametrize("way", ["gone", "hidden", "refused"])
async def test_a_project_that_is_gone(way: str) -> None:
    """Work that is gone together with its project, or hidden from us, was not deleted: its hours stay."""
    story, feed, taiga = await recorded()
    del taiga.items["task", 7]
    if way == "gone":
        taiga.gone_projects.add(1)
    elif way == "hidden":
        taiga.shows_items = False
    else:
        taiga.before("may_list", rejected("GET /projects/1", "", "You do not have permission", status=403))
    with pytest.raises(NeedsPerson, match="may not see project 1"):
        await feed.deliver(story.tell())
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_reconciling_heals() -> None:
    """What reconciling finds under another name is dead once, and put in again when the name is back or adopted."""
    board = Board()
    cards = [board.closed(hours) for hours in (2, 3)]
    await board.reconcile(Scope(rolling=50))
    before = dict(board.world.ninja.hours)
    assert len(before) == 2
    for heal in ("rename it back", "adopt the new name"):
        board.taiga.rename_attribute("Billable", "Billable to customer")
        assert [one.why[:19] for one in (await board.reconcile(Scope(rolling=50))).differences] == [
            "changed since event"
        ] * 2
        assert (await board.reconcile(Scope(rolling=50))).differences == ()
        assert board.world.ninja.hours == before
        assert list(board.world.reviews.opened) == [PROJECT]
        if heal == "rename it back":
            board.taiga.rename_attribute("Billable to customer", "Billable")
        else:
            own = {"attributes": {"billable": "Billable to customer"}}
            board.world.mapping = world(project=own).mapping
        assert len((await board.reconcile(Scope(rolling=50))).differences) == len(cards)
        assert board.world.reviews.opened == {}
        assert board.world.ninja.hours == before
