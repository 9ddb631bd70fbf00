"""Writing "Invoiced" for items of which the store has no event of Taiga's."""

import pytest

from handlers.errors import NeedsPerson
from handlers.event import SCHEDULE, Event, Work
from handlers.invoices.events import TASK_INVOICED
from handlers.time.mark_invoiced import mark_invoiced
from mappings.codes import Code
from tests.support.webhook_story import START, Feed, Story, world


@pytest.mark.parametrize("subject", ["taiga:epic:3", "taiga:task", "taiga:task:x", "invoiceninja:task:VolejRejNm"])
async def test_what_is_no_item_of_taiga(subject: str) -> None:
    """The event is dead with its subject, and nothing is asked of Taiga."""
    made = world(reads_taiga=True)
    event = Event(1, SCHEDULE, TASK_INVOICED, "key", subject, START, START, {})
    with pytest.raises(NeedsPerson, match=f"{subject} is not a Taiga item") as refused:
        await mark_invoiced(Work(subject, (event,), event), made.context)
    assert refused.value.hint == "discard this event"
    assert made.taiga is not None
    assert made.taiga.calls == []


def _work() -> Work:
    event = Event(1, SCHEDULE, TASK_INVOICED, "key", "taiga:task:7", START, START, {})
    return Work(event.subject, (event,), event)


async def test_without_credentials() -> None:
    """What we may not write is not written, and the outcome says why."""
    assert (await mark_invoiced(_work(), world().context)).code == Code.TAIGA_NOT_CONFIGURED


async def test_an_item_that_is_gone() -> None:
    """Nothing is written for an item that was deleted."""
    assert (await mark_invoiced(_work(), world(reads_taiga=True).context)).code == Code.DELETED_IN_TAIGA


async def test_no_event_of_taiga_is_known() -> None:
    """Without a webhook nobody was at the item lately, so its status is written at once."""
    story, feed = Story(), Feed(world(reads_taiga=True))
    story.type(billable=True, hours=2)
    story.close()
    await feed.told(story)
    feed.world.ninja.invoice("TAIGA-T7")
    outcome = await mark_invoiced(_work(), feed.world.context)
    assert outcome.reason == '"Invoice Status" set to "Invoiced"'
    assert (await mark_invoiced(_work(), feed.world.context)).code == Code.STATUS_UNCHANGED
