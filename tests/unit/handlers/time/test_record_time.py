"""A Taiga change becomes the time entry it calls for, in whatever way the webhooks arrive."""

import itertools
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import NeedsPerson, Rejected
from handlers.event import Event
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from tests.support.fakes import TAIGA
from tests.support.webhook_story import Feed, Story, show, world

BOTH = pytest.mark.parametrize("reads_taiga", [False, True], ids=["payload", "taiga"])


def closed_story(**changes: Any) -> Story:
    """Five webhooks of one task: made, ticked billable, hours, rate, closed."""
    story = Story(**changes)
    story.tell(action="create")
    story.type(billable=True)
    story.type(hours=1.5)
    story.type(rate=120)
    story.close()
    return story


@BOTH
@pytest.mark.parametrize("order", list(itertools.permutations(range(5))))
async def test_five_webhooks_in_every_order(order: Sequence[int], *, reads_taiga: bool) -> None:
    """Five webhooks of one task in any order end in exactly one entry, as the last state of the task calls for."""
    story = closed_story()
    feed = Feed(world(reads_taiga=reads_taiga))
    await feed.all(story, [story.events[index] for index in order])
    (task,) = feed.world.ninja.tasks.values()
    assert (task.number, task.rate, task.client_id, task.project_id) == ("TAIGA-T7", Decimal(120), "acme", "site")
    assert story.finished_at is not None
    end = int(story.finished_at.timestamp())
    assert task.spans == ((end - 5400, end),)
    assert not task.is_deleted


@BOTH
@given(data=st.data())
async def test_any_life_in_any_order(data: st.DataObject, *, reads_taiga: bool) -> None:
    """However a task lives and its webhooks arrive (shuffled, doubled, in bursts), its last state decides."""
    story = Story()
    story.tell(action="create")
    for step in data.draw(st.lists(st.sampled_from("cobuhHr"), min_size=1, max_size=7)):
        _live(story, step)
    last = story.events[-1]
    shuffled = data.draw(st.permutations(story.events))
    doubles = data.draw(st.lists(st.sampled_from(story.events), max_size=3))
    feed = Feed(world(reads_taiga=reads_taiga))
    show(feed.world, story)
    for burst in _bursts(data, [*shuffled, *doubles]):
        await feed.deliver(*burst)
    await feed.deliver(last)
    due = story.is_closed and story.values.get("Billable") is True and story.values.get("Duration (Hours)")
    expected = {"TAIGA-T7": Decimal(story.values["Duration (Hours)"])} if due else {}
    assert feed.world.ninja.hours == expected
    assert len(feed.world.ninja.tasks) <= 1


def _live(story: Story, step: str) -> None:
    if step in "co":
        story.tell(is_closed=step == "c", finished_at=story.now if step == "c" else None)
    else:
        typed: dict[str, dict[str, Any]] = {
            "b": {"billable": True},
            "u": {"billable": False},
            "h": {"hours": 2},
            "H": {"hours": 5},
            "r": {"hours": None},
        }
        story.type(**typed[step])


def _bursts(data: st.DataObject, events: list[Event]) -> list[list[Event]]:
    bursts = []
    while events:
        size = data.draw(st.integers(1, len(events)))
        burst, events = events[:size], events[size:]
        bursts.append(list({event.id: event for event in burst}.values()))
    return bursts


@BOTH
async def test_closed_before_the_hours(*, reads_taiga: bool) -> None:
    """A closing that arrives before the hours is ignored, and the webhook of the hours records the time."""
    story, feed = Story(), Feed(world(reads_taiga=reads_taiga))
    story.type(billable=True)
    story.close()
    assert await feed.told(story) == Ignored(Code.NO_HOURS, "no hours yet")
    story.type(hours=2)
    assert isinstance(await feed.told(story), Processed)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


@BOTH
async def test_reopened_and_closed_again(*, reads_taiga: bool) -> None:
    """A reopened task takes its entry back, closed again it gets the same entry under the same number."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    await feed.told(story)
    story.reopen()
    outcome = await feed.told(story)
    assert isinstance(outcome, Processed)
    assert "TAIGA-T7 removed (1.5 h)" in outcome.reason
    assert feed.world.ninja.hours == {}
    story.close()
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": Decimal("1.5")}
    assert len(feed.world.ninja.tasks) == 1


@BOTH
async def test_unbilled_again(*, reads_taiga: bool) -> None:
    """Unticking "Billable" removes the entry."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    await feed.told(story)
    story.type(billable=False)
    await feed.told(story)
    assert feed.world.ninja.hours == {}


@BOTH
async def test_deleted(*, reads_taiga: bool) -> None:
    """A deleted task, whose attributes are null in the webhook, takes its entry back."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    await feed.told(story)
    story.delete()
    await feed.told(story)
    assert feed.world.ninja.hours == {}


async def test_gone_before_it_was_read() -> None:
    """A task that Taiga no longer has counts as deleted, whatever the webhook says."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    await feed.told(story)
    assert feed.world.taiga is not None
    feed.world.taiga.items.clear()
    story.type(hours=8)
    outcome = await feed.deliver(story.events[-1])
    assert outcome == Processed(Code.TIME_REMOVED, "deleted in Taiga; TAIGA-T7 removed (1.5 h)")


async def test_hidden_task_is_an_error() -> None:
    """A task that our account may not see is no deleted task: the refusal reaches the person."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    show(feed.world, story)
    assert feed.world.taiga is not None
    feed.world.taiga.before("item", Rejected(TAIGA, "GET", "You do not have permission", status=403))
    with pytest.raises(Rejected):
        await feed.deliver(story.events[-1])


@BOTH
async def test_late_old_event_changes_nothing(*, reads_taiga: bool) -> None:
    """An event that is older than one already settled never overwrites the newer state."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    await feed.told(story)
    before = dict(feed.world.ninja.tasks)
    outcome = await feed.deliver(story.events[1])
    assert feed.world.ninja.tasks == before
    assert isinstance(outcome, Processed if reads_taiga else Ignored)


async def test_superseded_names_the_newer_event() -> None:
    """Without Taiga credentials the reason names the event that tells the newer state."""
    story, feed = closed_story(), Feed(world())
    await feed.told(story)
    assert await feed.deliver(story.events[0]) == Ignored(
        Code.SUPERSEDED, "superseded by event 5, which has a newer state"
    )


@BOTH
@pytest.mark.parametrize("hours", ["about two", -2, [1, 2], {"a": 1}, True, 10**300, 1e300, "9" * 30])
async def test_nonsense_hours(hours: Any, *, reads_taiga: bool) -> None:
    """Nonsense in the hours is for a person: the message names task, link, attribute and value."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    story.type(hours=hours)
    with pytest.raises(NeedsPerson, match=r'task #3 \(http://front.*\): "Duration \(Hours\)" is ') as caught:
        await feed.told(story)
    assert caught.value.hint
    assert feed.world.ninja.tasks == {}


@pytest.mark.parametrize("hours", ["1.5", "1,5", "1h30", "90m", "1:30", 1.5])
async def test_hours_as_people_type_them(hours: Any) -> None:
    """All the ways to type one and a half hours bill the same."""
    story, feed = closed_story(), Feed(world())
    story.type(hours=hours)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": Decimal("1.5")}


async def test_unmapped_project() -> None:
    """Billable work of a project that mappings.json does not name is for a person, with the line to add."""
    story, feed = closed_story(project_id=9), Feed(world())
    with pytest.raises(NeedsPerson, match=r"mappings\.json does not name this project") as caught:
        await feed.told(story)
    assert "add taiga_project_id 9" in caught.value.hint


async def test_unmapped_project_that_bills_nothing() -> None:
    """Open work of an unmapped project bothers nobody."""
    story, feed = Story(project_id=9), Feed(world())
    story.tell(action="create")
    assert await feed.told(story) == Ignored(Code.NOT_CLOSED, "not closed")


@BOTH
async def test_moved_to_another_project(*, reads_taiga: bool) -> None:
    """A task moved to another project is billed to that project's client, in the same entry."""
    story, feed = closed_story(), Feed(world(reads_taiga=reads_taiga))
    await feed.told(story)
    story.tell(project_id=2, ref=44)
    await feed.told(story)
    (task,) = feed.world.ninja.tasks.values()
    assert (task.client_id, task.project_id, task.description) == ("other", "", "Task #44: Build login form")


@pytest.mark.parametrize(("kind", "number"), [("userstory", "TAIGA-US7"), ("issue", "TAIGA-I7")])
@BOTH
async def test_other_types_switched_on(kind: Any, number: str, *, reads_taiga: bool) -> None:
    """User stories and issues are billed when they are switched on, and only then."""
    story = closed_story(kind=kind)
    off, on = (
        Feed(world(reads_taiga=reads_taiga)),
        Feed(world(reads_taiga=reads_taiga, billing_rules={"billable_types": ["task", "userstory", "issue"]})),
    )
    assert await off.told(story) == Ignored(
        Code.TYPE_NOT_BILLED, f"nothing is billed for type {kind} (billable_types in mappings.json)"
    )
    await on.told(story)
    assert on.world.ninja.hours == {number: Decimal("1.5")}


async def test_own_echo_is_ignored() -> None:
    """The webhook of our own write-back costs nothing but one question to Taiga."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    await feed.told(story)
    story.echo()
    feed.world.ninja.calls.clear()
    assert await feed.told(story) == Ignored(Code.OWN_ECHO, "caused by our own write-back")
    assert feed.world.ninja.calls == []


async def test_shared_account_is_not_ignored() -> None:
    """A person who shares the bridge's account changes hours: that is no echo."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    await feed.told(story)
    changes = {"custom_attributes": {"changed": [{"name": "Duration (Hours)"}]}}
    story.tell(by=99, diff=changes, values={**story.values, "Duration (Hours)": 4})
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 4}


async def test_echo_after_a_failed_try_is_taken_seriously() -> None:
    """A change taken together with our echo in a try that failed is not lost when the echo is tried again alone."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    await feed.told(story)
    edit, echo = story.type(hours=6), story.echo()
    show(feed.world, story)
    feed.world.ninja.before("task", Rejected("invoiceninja", "GET", "no"))
    with pytest.raises(Rejected):
        await feed.deliver(edit, echo)
    await feed.deliver(echo, is_fresh=False)
    assert feed.world.ninja.hours == {"TAIGA-T7": 6}


async def test_burst_with_an_echo_is_not_ignored() -> None:
    """An echo that arrives together with a person's change does not hide it."""
    story, feed = closed_story(), Feed(world(reads_taiga=True))
    await feed.told(story)
    edit, echo = story.type(hours=6), story.echo()
    show(feed.world, story)
    await feed.deliver(edit, echo)
    assert feed.world.ninja.hours == {"TAIGA-T7": 6}


async def test_user_rate_and_project_rate() -> None:
    """The assignee's rate comes before the project's, which applies to whom no rate names; nobody is no person."""
    story, feed = closed_story(), Feed(world(user_rates={"ann": 95}))
    story.type(rate=None)
    await feed.told(story)
    assert [task.rate for task in feed.world.ninja.tasks.values()] == [95]
    story.tell(assignee=None)
    await feed.told(story)
    assert [task.rate for task in feed.world.ninja.tasks.values()] == [95]
    story.tell(assignee="bob")
    await feed.told(story)
    assert [task.rate for task in feed.world.ninja.tasks.values()] == [75]


async def test_no_rate_is_never_zero() -> None:
    """Without any rate the work waits for a person."""
    feed = Feed(world(project={"default_hourly_rate": None}))
    story = closed_story()
    story.type(rate=None)
    with pytest.raises(NeedsPerson, match="there is no hourly rate"):
        await feed.told(story)


async def test_subject_with_everything_strange() -> None:
    """Emoji stay, line separators, NUL and lone surrogates do not reach Invoice Ninja."""
    story, feed = closed_story(subject="Fix \N{PARTY POPPER}\u2028now\x00\ud800!"), Feed(world())
    await feed.told(story)
    assert [task.description for task in feed.world.ninja.tasks.values()] == ["Task #3: Fix \N{PARTY POPPER} now !"]
