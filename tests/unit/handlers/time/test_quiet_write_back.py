"""Taiga is written only when nobody has changed an item for a while, once for many changes (docs/facts/taiga.md 6)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.errors import Rejected, RetryLater, ServerError
from handlers.event import Enqueued, Event, NewEvent, Work
from handlers.outcome import Ignored, Outcome, Processed
from handlers.registry import dispatch
from handlers.time.write_back import ASK_AGAIN_DAYS, GIVE_UP_WAITING, WRITE_BACK, is_write_back
from mappings.codes import Code
from tests.support.fakes import TAIGA, FakeTaiga
from tests.support.webhook_story import Story, world

QUIET = 30.0
STATUS = "Invoice Status"


class Office:
    """One closed task, its Taiga, and a clock; what the handler enqueues waits in `waiting`."""

    def __init__(self) -> None:
        self.story = Story()
        self.story.type(billable=True, hours=2)
        self.story.close()
        self.world = world(reads_taiga=True)
        assert self.world.taiga is not None
        self.taiga: FakeTaiga = self.world.taiga
        self.taiga.put(self.story.item)
        self.now = self.story.now
        self.waiting: list[NewEvent] = []

    async def enqueue(self, events: Sequence[NewEvent]) -> Sequence[Enqueued]:
        """Keep what is to be done later."""
        self.waiting += events
        return [Enqueued(100 + number, is_duplicate=False, is_due=False) for number, _ in enumerate(events)]

    async def settle(self, *due: Event) -> Outcome:
        """Settle these events as the pipeline does."""
        context = replace(self.world.context, clock=lambda: self.now, events=self, write_back_quiet=QUIET)
        return await dispatch(Work(self.story.name, due, self.story.events[-1]), context)

    async def later(self, *more: Event) -> Outcome:
        """Settle all that waits, as soon as it is due, with these."""
        self.now += timedelta(seconds=max(event.wait for event in self.waiting))
        taken, self.waiting = self.waiting, []
        return await self.settle(*(self.stored(event) for event in taken), *more)

    def stored(self, event: NewEvent) -> Event:
        """An enqueued event as it comes back."""
        moment = self.story.now
        payload = json.loads(event.body)
        return Event(100, event.source, event.type, event.key, event.subject, event.occurred_at, moment, payload)

    @property
    def status(self) -> object:
        """What Taiga shows."""
        return self.taiga.named("task", self.story.id).get(STATUS)


@pytest.fixture
def office() -> Office:
    """A task that was closed just now."""
    return Office()


async def test_nothing_is_written_while_people_are_at_it(office: Office) -> None:
    """The entry is recorded at once; the status follows as an event that is due after the quiet time."""
    outcome = await office.settle(office.story.events[-1])
    assert isinstance(outcome, Processed)
    assert '"Invoice Status" follows when nobody has changed it for 30 s' in outcome.reason
    assert (office.status, len(office.world.ninja.tasks)) == (None, 1)
    (waiting,) = office.waiting
    assert (waiting.type, waiting.subject, waiting.wait) == (WRITE_BACK, office.story.name, QUIET)
    assert waiting.occurred_at < office.story.events[-1].occurred_at, "Taiga's event stays the newest of the subject"


async def test_it_is_written_when_it_was_quiet(office: Office) -> None:
    """Nothing but the status is looked at then, and the time entry is left alone."""
    await office.settle(office.story.events[-1])
    outcome = await office.later()
    assert outcome == Processed(Code.STATUS_WRITTEN, '"Invoice Status" set to "Pending Invoice"')
    assert (office.status, office.waiting) == ("Pending Invoice", [])
    assert await office.settle(office.stored(_write_back(office))) == Ignored(
        Code.STATUS_UNCHANGED, "its status is correct"
    )


async def test_a_change_begins_the_quiet_time_anew(office: Office) -> None:
    """Five changes one after the other share one write: each takes over what waited."""
    for hours in range(3, 8):
        event = office.story.type(hours=hours)
        office.taiga.put(office.story.item)
        office.now = office.story.now
        waited, office.waiting = office.waiting, []
        await office.settle(*(office.stored(one) for one in waited), event)
        assert len(office.waiting) == 1
    await office.later()
    assert office.taiga.versions["task", office.story.id] == 2, "one write"


async def test_people_who_come_back_meanwhile_are_left_alone(office: Office) -> None:
    """The task is reopened within the quiet time: nothing was written, and nothing has to be."""
    await office.settle(office.story.events[-1])
    event = office.story.reopen()
    office.taiga.put(office.story.item)
    office.now = office.story.now
    waited, office.waiting = office.waiting, []
    await office.settle(office.stored(waited[0]), event)
    assert office.waiting == []
    assert office.status is None


async def test_invoiced_long_after_is_written_at_once(office: Office) -> None:
    """An event of our own is no change of people: what was quiet for long is written."""
    office.now += timedelta(hours=1)
    own = replace(office.stored(_write_back(office)), type="task.invoiced")
    await office.settle(own)
    assert office.status == "Pending Invoice"


async def test_server_error_waits_for_the_next_quiet_time(office: Office) -> None:
    """Taiga answers 500 when a write meets another: the other may be a person's, so it is given time."""
    await office.settle(office.story.events[-1])
    office.taiga.before("replace_attribute_values", ServerError(TAIGA, "PATCH", "Server Error", status=500))
    with pytest.raises(RetryLater) as caught:
        await office.later()
    assert (caught.value.code, caught.value.delay) == (Code.WRITE_BACK_FAILED, QUIET)
    assert office.status is None


async def test_a_taiga_that_never_takes_it_is_left_to_the_retry_policy(office: Office) -> None:
    """After a day the error itself is raised, so that the event ends some day."""
    await office.settle(office.story.events[-1])
    office.now += GIVE_UP_WAITING + timedelta(minutes=1)
    office.taiga.before("replace_attribute_values", ServerError(TAIGA, "PATCH", "Server Error", status=500))
    with pytest.raises(ServerError):
        await office.settle(office.stored(_write_back(office)))


def _refuse(office: Office) -> None:
    """Taiga refuses the next write: the project is blocked."""
    blocked = Rejected(TAIGA, "PATCH", "Blocked element", status=451)
    office.taiga.before("replace_attribute_values", blocked)


async def test_a_blocked_project_is_made_up_for(office: Office) -> None:
    """Hours are recorded while Taiga refuses the status; it is written days later, when the project is free again."""
    await office.settle(office.story.events[-1])
    _refuse(office)
    outcome = await office.later()
    assert "Blocked element; it is tried again on 2026-11-22" in outcome.reason
    assert office.world.ninja.hours == {"TAIGA-T7": 2}
    _refuse(office)
    assert "it is tried again on 2026-11-24" in (await office.later()).reason
    assert (await office.later()).reason == '"Invoice Status" set to "Pending Invoice"'
    assert office.waiting == []


async def test_a_right_that_is_never_given(office: Office) -> None:
    """The pauses grow, each month begins one series, and some day nobody asks any more."""
    await office.settle(office.story.events[-1])
    keys = set()
    for _ in ASK_AGAIN_DAYS:
        _refuse(office)
        await office.later()
        keys |= {event.key for event in office.waiting}
    assert len(keys) == len(ASK_AGAIN_DAYS)
    assert all(":2026-11:" in key for key in keys)
    _refuse(office)
    assert "tried again" not in (await office.later()).reason
    assert office.waiting == []


def _write_back(office: Office) -> NewEvent:
    newest = office.story.events[-1]
    return NewEvent("schedule", WRITE_BACK, "key", office.story.name, newest.occurred_at, b"{}")


def test_only_our_own_event_is_a_write_back(office: Office) -> None:
    """A webhook with such a type is none."""
    event = office.stored(_write_back(office))
    assert is_write_back(event)
    assert not is_write_back(replace(event, source="taiga"))
