"""What a person typed in the moment of our write-back is there again, and is billed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import RetryLater
from handlers.event import Event
from handlers.outcome import Outcome
from mappings.taiga.models import AttributeDefinition
from mappings.taiga.overwritten import attribute_changes, overwritten
from tests.support.fakes import FakeTaiga
from tests.support.webhook_story import Feed, Story, world

BILLABLE, HOURS, RATE, CLIENT, STATUS = (
    "Billable",
    "Duration (Hours)",
    "Hourly Rate",
    "Client Invoice ID",
    "Invoice Status",
)
US = 99
TYPED = {
    BILLABLE: st.sampled_from([False, True]),
    HOURS: st.integers(1, 20),
    RATE: st.one_of(st.none(), st.integers(1, 200)),
    CLIENT: st.one_of(st.none(), st.sampled_from(["0001", "other"])),
}
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
)


class Scene:
    """A closed task of 2 hours in Taiga, and the bridge with its write-backs."""

    def __init__(self, **values: Any) -> None:
        self.feed = Feed(world(reads_taiga=True))
        self.story = Story()
        self.story.type(billable=True, hours=2, **values)
        self.story.close()
        self.told = 0

    @property
    def taiga(self) -> FakeTaiga:
        """The fake Taiga."""
        assert self.feed.world.taiga is not None
        return self.feed.world.taiga

    @property
    def values(self) -> dict[str, Any]:
        """What stands in Taiga."""
        return self.taiga.named("task", 7)

    def edit(self, name: str, value: Any) -> Event:
        """A person fills in an attribute; returns its webhook."""
        before = self.values.get(name)
        self.taiga.fill_in("task", 7, name, value)
        entry = {"name": name, "changes": {"value": [before, value]}}
        self.story.values = {key: held for key, held in self.values.items() if held is not None}
        return self.story.tell(diff={"custom_attributes": {"new": [], "changed": [entry], "deleted": []}})

    def edit_before_our_write(self, *edits: tuple[str, Any]) -> None:
        """A person does these, one before each of our next writes, when we have read the values already."""

        def act(name: str, value: Any) -> Any:
            return lambda: self.edit(name, value)

        self.taiga.before("replace_attribute_values", *(act(name, value) for name, value in edits))

    async def recorded(self) -> Outcome:
        """Taiga's webhook of the closed task is settled, and its status written."""
        self.taiga.put(self.story.item)
        return await self.feed.deliver(self.story.events[-1])

    def our_webhooks(self) -> list[Event]:
        """The webhooks of our own writes that were not fetched yet."""
        fresh = self.taiga.differences[self.told :]
        self.told = len(self.taiga.differences)
        self.story.values = {key: held for key, held in self.values.items() if held is not None}
        return [self.story.tell(by=US, diff=diff) for diff in fresh]

    async def settled(self) -> list[str]:
        """Every webhook of ours is settled, until none comes any more; returns the reasons."""
        reasons = []
        while waiting := self.our_webhooks():
            reasons += [(await self.feed.deliver(event)).reason for event in waiting]
        return reasons


@given(data=st.data(), attribute=st.sampled_from(sorted(TYPED)))
async def test_whatever_is_typed_in_our_moment_stands_in_the_end(data: st.DataObject, attribute: str) -> None:
    """Changed, filled in for the first time or cleared: the person's value is there, and decides what is billed."""
    filled = data.draw(st.sampled_from([{}, {"rate": 90, "client": "0001"}]))
    typed = data.draw(TYPED[attribute])
    scene = Scene(**filled)
    scene.edit_before_our_write((attribute, typed))
    await scene.recorded()
    await scene.settled()
    assert scene.values.get(attribute) == typed
    is_billed = scene.values[BILLABLE]
    assert scene.feed.world.ninja.hours == ({"TAIGA-T7": scene.values[HOURS]} if is_billed else {})
    assert scene.values[STATUS] == ("Pending Invoice" if is_billed else "Not Billable")


async def test_the_outcome_names_what_was_given_back() -> None:
    """People read in the event which value was overwritten and came back."""
    scene = Scene()
    scene.edit_before_our_write((HOURS, 5))
    await scene.recorded()
    assert scene.values[HOURS] == 2
    (reason, *_) = await scene.settled()
    assert reason.startswith(f'"{HOURS}" restored: our write had overwritten it; ')
    assert scene.values[HOURS] == 5


async def test_what_the_person_typed_since_is_the_last_word() -> None:
    """They noticed, and typed another value, or ours on purpose: nothing is given back over it."""
    for last in (4, 2):
        scene = Scene()
        scene.edit_before_our_write((HOURS, 3))
        await scene.recorded()
        ours = scene.our_webhooks()
        theirs = [scene.edit(HOURS, 4), scene.edit(HOURS, last)]
        await scene.feed.deliver(*ours, *theirs)
        assert scene.values[HOURS] == last
        assert scene.feed.world.ninja.hours == {"TAIGA-T7": last}


async def test_somebody_writes_in_the_moment_of_giving_back() -> None:
    """The version tells it, and the try is repeated; what was to be given back stands."""
    scene = Scene()
    scene.edit_before_our_write((HOURS, 5), (RATE, 120))
    await scene.recorded()
    (ours,) = scene.our_webhooks()
    with pytest.raises(RetryLater, match="somebody changed it while it was being restored"):
        await scene.feed.deliver(ours)
    assert scene.values[HOURS] == 5


async def test_an_attribute_that_is_gone() -> None:
    """What has no attribute any more cannot be given back; nothing is written, nothing fails."""
    scene = Scene()
    scene.edit_before_our_write((RATE, 120))
    await scene.recorded()
    ours = scene.our_webhooks()
    scene.taiga.definitions = [one for one in scene.taiga.definitions if one.name != RATE]
    scene.taiga.definitions.append(AttributeDefinition(77, "Rate", "text"))
    writes = scene.taiga.count("replace_attribute_values")
    await scene.feed.deliver(*ours)
    assert scene.taiga.count("replace_attribute_values") == writes


def test_only_our_write_backs_overwrite() -> None:
    """A person's change replaces nothing of anybody's, nor does one of ours that leaves our attribute alone."""
    entry = {"name": HOURS, "value": 3}
    status = {"name": STATUS, "changes": {"value": ["", "Invoiced"]}}
    both = {"change": {"diff": {"custom_attributes": {"deleted": [entry], "changed": [status]}}}}
    head = {"action": "change", "by": {"id": US}}
    (lost,) = overwritten({**head, **both}, US, STATUS)
    assert (lost.attribute, lost.theirs, lost.ours) == (HOURS, 3, None)
    assert overwritten({**head, **both, "by": {"id": 7}}, US, STATUS) == []
    assert overwritten({**head, **both, "action": "delete"}, US, STATUS) == []
    assert overwritten({**head, "change": {"diff": {"custom_attributes": {"new": [entry]}}}}, US, STATUS) == []


def test_a_change_of_an_attribute_itself() -> None:
    """A renamed attribute is told without values: none is taken for a person's."""
    renamed = {"name": "Hours", "changes": {"name": [HOURS, "Hours"]}}
    (change,) = attribute_changes({"change": {"diff": {"custom_attributes": {"changed": [renamed]}}}})
    assert (change.theirs, change.ours) == (None, None)


@given(ANY_JSON, ANY_JSON)
def test_differences_of_any_shape(groups: Any, entries: Any) -> None:
    """Whatever Taiga puts into its differences one day: nobody's value is made up, and nothing crashes."""
    for diff in ({"custom_attributes": groups}, {"custom_attributes": {"changed": entries}}, groups):
        for change in attribute_changes({"change": {"diff": diff}}):
            assert isinstance(change.attribute, str)
