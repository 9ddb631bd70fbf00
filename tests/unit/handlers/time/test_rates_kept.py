"""What is recorded stays recorded: mappings.json changes, accounts are renamed, and past work keeps its price."""

from typing import Any

from handlers.event import Event
from handlers.outcome import Ignored
from handlers.time.apply_rates import rates_event
from mappings.config.file import MappingFile
from mappings.invoiceninja.tasks import Task
from tests.support.webhook_story import Feed, Story, world


def mapping_of(rate: int, **rules: Any) -> MappingFile:
    """The mapping file with this rate of the project."""
    return world(project={"default_hourly_rate": rate, **rules}).mapping


async def recorded(**values: Any) -> tuple[Story, Feed]:
    """A closed task of ann's, recorded at 60."""
    story, feed = Story(assignee_id=5), Feed(world(project={"default_hourly_rate": 60}))
    story.type(billable=True, hours=10, **values)
    story.close()
    await feed.told(story)
    return story, feed


def only(feed: Feed) -> Task:
    """The one entry."""
    (task,) = feed.world.ninja.live.values()
    return task


def source(feed: Feed, number: str = "TAIGA-T7") -> dict[str, Any]:
    """Why its rate is what it is."""
    kept: dict[str, Any] = feed.world.links.rows["taiga:task:7", "time_entry", number].state["rate_source"]
    return kept


async def test_a_comment_changes_no_price() -> None:
    """After a price change a comment under recorded work changes nothing, and new work has the new price."""
    story, feed = await recorded()
    assert source(feed) == {"kind": "project", "name": "", "since": "2026-11-21"}
    feed.world.mapping = mapping_of(80)
    story.tell()
    assert "TAIGA-T7 has 10 h already" in (await feed.told(story)).reason
    assert only(feed).rate == 60
    story.type(hours=12)
    await feed.told(story)
    assert only(feed).rate == 60
    assert feed.world.ninja.hours == {"TAIGA-T7": 12}


async def test_opened_and_closed_again() -> None:
    """Work that is opened and closed again is the same work at the same price."""
    story, feed = await recorded()
    feed.world.mapping = mapping_of(80)
    story.reopen()
    await feed.told(story)
    story.close()
    await feed.told(story)
    assert only(feed).rate == 60


async def test_own_rate_and_its_source() -> None:
    """A rate typed into the task counts at once, and the entry says so."""
    story, feed = await recorded()
    story.type(rate=95)
    await feed.told(story)
    assert only(feed).rate == 95
    assert source(feed)["kind"] == "task"


async def test_a_correction_has_the_price_of_its_work() -> None:
    """More hours after the invoice are billed at the price of the work, whatever mappings.json says by now."""
    story, feed = await recorded()
    feed.world.ninja.invoice("TAIGA-T7")
    feed.world.mapping = mapping_of(80)
    story.type(hours=12)
    await feed.told(story)
    assert feed.world.ninja.live["TAIGA-T7-2"].rate == 60
    assert feed.world.ninja.hours == {"TAIGA-T7": 10, "TAIGA-T7-2": 2}
    story.type(hours=13)
    await feed.told(story)
    assert feed.world.ninja.live["TAIGA-T7-2"].rate == 60


async def test_a_rounding_rule_makes_no_credit() -> None:
    """Hours on an invoice that were rounded up are not too many because the rule is another one by now."""
    feed = Feed(world(project={"rounding": "hour"}))
    story = Story()
    story.type(billable=True, hours=1.5)
    story.close()
    await feed.told(story)
    feed.world.ninja.invoice("TAIGA-T7")
    feed.world.mapping = mapping_of(75, rounding="none")
    story.tell()
    assert (await feed.told(story)).reason == "2 h are on an invoice already: nothing to change"
    assert feed.world.reviews.kinds == []
    story.type(hours=3)
    await feed.told(story)
    story.tell()
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 1}


async def test_a_deleted_account() -> None:
    """An account that Taiga renames when it is deleted changes neither the price nor the name that customers read."""
    feed = Feed(world(user_rates={"ann": 95}))
    story = Story(assignee_id=5)
    story.type(billable=True, hours=10)
    story.close()
    await feed.told(story)
    assert source(feed) == {"kind": "user", "name": "ann", "since": "2026-11-21"}
    story.tell(assignee="deleted-user-1795000000000")
    await feed.told(story)
    assert only(feed).rate == 95
    assert feed.world.links.rows["taiga:task:7", "time_entry", "TAIGA-T7"].state["origin"]["person"] == "ann"


async def test_entries_of_an_older_version() -> None:
    """An entry that an older version recorded keeps its rate, too; nobody knows why it is that."""
    story, feed = await recorded()
    key = ("taiga:task:7", "time_entry", "TAIGA-T7")
    link = feed.world.links.rows[key]
    old = {name: value for name, value in link.state.items() if name != "rate_source"}
    old["origin"] = {"person": "ann", "taiga_project_id": 1}
    feed.world.links.rows = {key: type(link)(*key, link.remote_id, old)}
    feed.world.mapping = mapping_of(80)
    story.tell()
    await feed.told(story)
    assert only(feed).rate == 60
    assert not source(feed)["kind"]


def asked_for(story: Story) -> Event:
    """The event with which a person lets the rates of now count for the task."""
    new = rates_event(story.name, story.now, story.now)
    return Event(900, new.source, new.type, new.key, new.subject, new.occurred_at, story.now, {})


async def test_a_person_lets_the_rates_of_now_count() -> None:
    """Only when a person asks for it the new price reaches recorded work, and from then on it is the recorded one."""
    story, feed = await recorded()
    feed.world.mapping = mapping_of(80, rounding="hour")
    outcome = await feed.deliver(asked_for(story))
    assert "TAIGA-T7 updated: 10 h at 80.00" in outcome.reason
    feed.world.mapping = mapping_of(90)
    story.tell()
    await feed.told(story)
    assert only(feed).rate == 80


async def test_new_rates_of_work_that_is_forgotten() -> None:
    """When no event of Taiga is known any more, nothing is changed."""
    story, feed = await recorded()
    feed.known.clear()
    assert isinstance(await feed.deliver(asked_for(story)), Ignored)
    assert only(feed).rate == 60
