"""The invoice status in Taiga: the right word, written only when it differs, without losing anybody's values."""

from typing import Any

import pytest

from handlers.errors import Doubtful, NotFound, Rejected
from handlers.outcome import Ignored, Processed
from mappings.codes import Code
from mappings.taiga.models import AttributeDefinition, AttributeValues, WorkKind
from tests.support.fakes import TAIGA, FakeTaiga
from tests.support.webhook_story import Feed, Story, show, world


def closed() -> Story:
    """A closed, billable task of 2 hours."""
    story = Story()
    story.type(billable=True, hours=2)
    story.close()
    return story


def taiga_of(feed: Feed) -> FakeTaiga:
    """The fake Taiga of this feed."""
    assert feed.world.taiga is not None
    return feed.world.taiga


async def again(feed: Feed, story: Story) -> str:
    """Another convergence of Taiga as it stands now, our own writing included; returns the reason."""
    story.values = taiga_of(feed).named(story.kind, story.id)
    story.tell()
    return (await feed.told(story)).reason


async def test_the_words_of_a_life() -> None:
    """Recorded, invoiced, corrected, reopened, closed and unbilled: each time the right word stands in Taiga."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga = taiga_of(feed)
    reason = (await feed.told(story)).reason
    assert reason == 'TAIGA-T7 created: 2 h at 75.00; "Invoice Status" set to "Pending Invoice"'
    feed.world.ninja.invoice("TAIGA-T7")
    assert '"Invoice Status" set to "Invoiced"' in await again(feed, story)
    story.values["Duration (Hours)"] = 3
    taiga.values["task", 7]["2"] = 3
    assert '"Invoice Status" set to "Pending Invoice"' in await again(feed, story)
    feed.world.ninja.drop_invoice("TAIGA-T7")
    story.is_closed = False
    assert '"Invoice Status" cleared' in await again(feed, story)
    assert taiga.named("task", 7)["Invoice Status"] == ""
    story.is_closed = True
    taiga.values["task", 7]["1"] = False
    assert '"Invoice Status" set to "Not Billable"' in await again(feed, story)


async def test_other_values_are_kept() -> None:
    """A write replaces the whole dict in Taiga: everything else in it stays as it was."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    show(feed.world, story)
    await feed.told(story)
    assert taiga_of(feed).named("task", 7) == {
        "Billable": True,
        "Duration (Hours)": 2,
        "Invoice Status": "Pending Invoice",
    }


async def test_values_of_vanished_attributes_are_dropped() -> None:
    """Values whose attribute the project does not have would make Taiga refuse every write."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga = taiga_of(feed)
    show(feed.world, story)
    taiga.values["task", 7]["77"] = "from another project"
    await feed.deliver(story.events[-1])
    assert taiga.named("task", 7)["Invoice Status"] == "Pending Invoice"
    assert "77" not in taiga.values["task", 7]


async def test_not_written_when_equal() -> None:
    """The same word again would be one more webhook for nothing."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    await feed.told(story)
    await again(feed, story)
    assert taiga_of(feed).count("replace_attribute_values") == 1


async def test_somebody_else_wrote_it_meanwhile() -> None:
    """What became right between reading the task and reading its values is not written again."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga = taiga_of(feed)
    taiga.before("attribute_values", lambda: taiga.values["task", 7].update({"5": "Pending Invoice"}))
    await feed.told(story)
    assert taiga.count("replace_attribute_values") == 0


async def test_value_typed_meanwhile_survives() -> None:
    """What a person typed between our reading of the task and our write is read again right before the write."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga = taiga_of(feed)
    taiga.before("attribute_values", lambda: taiga.values["task", 7].update({"3": 99}))
    await feed.told(story)
    assert taiga.named("task", 7)["Hourly Rate"] == 99


async def test_work_that_was_never_ours() -> None:
    """Work that never had an entry is left alone."""
    feed, story = Feed(world(reads_taiga=True)), Story()
    story.type(billable=False, hours=2)
    story.close()
    assert await feed.told(story) == Ignored(Code.NOT_MARKED_BILLABLE, "not marked billable")
    assert taiga_of(feed).count("replace_attribute_values") == 0


async def test_refusal_is_noted() -> None:
    """A refusal by Taiga (no right to modify) is told in the reason; the entry stands."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga_of(feed).before(
        "replace_attribute_values", Rejected(TAIGA, "PATCH", "You do not have permission", status=403)
    )
    outcome = await feed.told(story)
    assert outcome == Processed(
        Code.TIME_RECORDED,
        'TAIGA-T7 created: 2 h at 75.00; "Invoice Status" was not written to Taiga: You do not have permission',
    )


async def test_task_gone_meanwhile() -> None:
    """A task deleted right before the write needs none."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga_of(feed).before("attribute_values", NotFound(TAIGA, "GET", "gone", status=404))
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 created: 2 h at 75.00")


async def test_lost_answer_is_tried_again() -> None:
    """A lost answer of Taiga fails the try; the next one finds everything done."""
    feed, story = Feed(world(reads_taiga=True)), closed()
    taiga = taiga_of(feed)
    taiga.after("replace_attribute_values", Doubtful(TAIGA, "PATCH", "the answer was lost"))
    with pytest.raises(Doubtful):
        await feed.told(story)
    assert await feed.deliver(story.events[-1], is_fresh=False) == Processed(
        Code.TIME_RECORDED, "TAIGA-T7 has 2 h already"
    )
    assert taiga.count("replace_attribute_values") == 1


async def test_not_taken_by_taiga() -> None:
    """An answer that shows another word is told in the reason."""

    class Stubborn(FakeTaiga):
        async def replace_attribute_values(
            self, kind: WorkKind, item_id: int, values: AttributeValues
        ) -> AttributeValues:
            return values if kind == "issue" else AttributeValues(2, {})

    feed, story = Feed(world(reads_taiga=True)), closed()
    feed.world.taiga = Stubborn()
    assert '"Invoice Status" was not taken by Taiga' in (await feed.told(story)).reason


@pytest.mark.parametrize("without", ["attribute", "rule"])
async def test_switched_off(without: str) -> None:
    """Without the attribute in the project, or with the rule off, nothing is written and nothing is said."""
    parts: dict[str, Any] = {"billing_rules": {"write_back": False}} if without == "rule" else {}
    feed, story = Feed(world(reads_taiga=True, **parts)), closed()
    if without == "attribute":
        taiga_of(feed).definitions.pop()
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 created: 2 h at 75.00")


async def test_own_names_and_words() -> None:
    """Name and words of the attribute are those of mappings.json."""
    parts = {"attributes": {"invoice_status": "Abrechnung"}, "invoice_status_values": {"pending": "offen"}}
    feed, story = Feed(world(reads_taiga=True, **parts)), closed()
    taiga_of(feed).definitions.append(AttributeDefinition(6, "Abrechnung", "dropdown"))
    assert '"Abrechnung" set to "offen"' in (await feed.told(story)).reason
    assert taiga_of(feed).values["task", 7]["6"] == "offen"
