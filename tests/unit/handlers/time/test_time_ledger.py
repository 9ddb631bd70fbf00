"""What invoices bill stays: corrections for more hours, a credit for a person for fewer, never a silent change."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from handlers.errors import NeedsPerson, Rejected, RetryLater
from handlers.outcome import Ignored, Processed
from handlers.time.ledger import CREDIT, UNKNOWN_PROJECT
from mappings.codes import Code
from tests.support.fakes import FakeNinja, rejected
from tests.support.webhook_story import Feed, Story, world


@pytest.fixture
async def story() -> Story:
    """A closed, billable task of 2 hours."""
    told = Story()
    told.type(billable=True, hours=2)
    told.close()
    return told


@pytest.fixture
async def feed(story: Story) -> Feed:
    """A world that holds the entry of the story."""
    fed = Feed(world())
    await fed.told(story)
    return fed


async def change(feed: Feed, story: Story, **values: Any) -> str:
    """Type into the task and converge; returns the reason."""
    story.type(**values)
    return (await feed.told(story)).reason


async def test_more_hours_after_the_invoice(feed: Feed, story: Story) -> None:
    """More hours after the invoice become one correction entry of the difference, and later ones change only it."""
    feed.world.ninja.invoice("TAIGA-T7")
    assert "2 h are on an invoice already; correction: TAIGA-T7-2 created: 1 h" in await change(feed, story, hours=3)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 1}
    await change(feed, story, hours=5)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 3}
    assert "TAIGA-T7-2 has 3 h already" in (await feed.told(story)).reason


async def test_correction_of_a_correction(feed: Feed, story: Story) -> None:
    """When the correction is invoiced too, the next one is the third entry."""
    feed.world.ninja.invoice("TAIGA-T7")
    await change(feed, story, hours=3)
    feed.world.ninja.invoice("TAIGA-T7-2", "INV2")
    await change(feed, story, hours="4.5")
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 1, "TAIGA-T7-3": Decimal("1.5")}


async def test_correction_withdrawn_and_back(feed: Feed, story: Story) -> None:
    """Hours that shrink back to the invoice take the correction away, growing again they restore it."""
    feed.world.ninja.invoice("TAIGA-T7")
    await change(feed, story, hours=3)
    assert "TAIGA-T7-2 removed (1 h), 2 h are on an invoice already" in await change(feed, story, hours=2)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    await change(feed, story, hours=6)
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 4}
    assert len(feed.world.ninja.tasks) == 2


async def test_fewer_hours_after_the_invoice(feed: Feed, story: Story) -> None:
    """Fewer hours after the invoice change nothing there: a credit waits for a person, until the hours fit again."""
    feed.world.ninja.invoice("TAIGA-T7")
    assert "2 h are on an invoice, now 0.5 h: a credit needs a person" in await change(feed, story, hours=0.5)
    summary, details = feed.world.reviews.opened["taiga:task:7", CREDIT]
    assert summary == (
        "task #3 (http://front/project/site/task/3): 2 h were invoiced, now 0.5 h are right: credit 1.5 h?"
        " (the hours became fewer after they were invoiced)"
    )
    assert details == {"billed_hours": "2", "hours": "0.5", "permalink": "http://front/project/site/task/3"}
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}
    await change(feed, story, hours=2)
    assert feed.world.reviews.kinds == []


async def test_credit_becomes_a_correction(feed: Feed, story: Story) -> None:
    """A credit that waits is withdrawn when the hours grow beyond the invoice."""
    feed.world.ninja.invoice("TAIGA-T7")
    await change(feed, story, hours=1)
    await change(feed, story, hours=3)
    assert feed.world.reviews.kinds == []
    assert feed.world.ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 1}


async def test_same_hours_after_the_invoice(feed: Feed, story: Story) -> None:
    """A change that leaves the hours alone writes nothing."""
    feed.world.ninja.invoice("TAIGA-T7")
    story.tell(subject="Another name")
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "2 h are on an invoice already: nothing to change")
    assert feed.world.ninja.count("update_task") == 0


@pytest.mark.parametrize("what", ["unbilled", "deleted"])
async def test_invoiced_and_no_longer_billable(feed: Feed, story: Story, what: str) -> None:
    """Work that is not billable any more but invoiced: the whole of it may be a credit."""
    feed.world.ninja.invoice("TAIGA-T7")
    if what == "deleted":
        story.delete()
    else:
        story.type(billable=False)
    outcome = await feed.told(story)
    assert "2 h are on an invoice already: a credit needs a person" in outcome.reason
    assert feed.world.reviews.kinds == [CREDIT]
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_invoiced_and_reopened(feed: Feed, story: Story) -> None:
    """Reopened work keeps what is invoiced, and nobody is asked for a credit before it is closed again."""
    feed.world.ninja.invoice("TAIGA-T7")
    story.reopen()
    assert await feed.told(story) == Processed(
        Code.TIME_REMOVED, "not closed; the 2 h on an invoice stay until the work is closed again"
    )
    assert feed.world.reviews.kinds == []


async def test_invoice_deleted_again(feed: Feed, story: Story) -> None:
    """When the invoice is deleted, its hours are open again: entry and correction sum up to the task's hours."""
    feed.world.ninja.invoice("TAIGA-T7")
    await change(feed, story, hours=3)
    feed.world.ninja.drop_invoice("TAIGA-T7")
    await change(feed, story, hours=4)
    assert feed.world.ninja.hours == {"TAIGA-T7": 4}


async def test_first_invoice_deleted_under_an_invoiced_correction(feed: Feed, story: Story) -> None:
    """When only the correction is still invoiced, the open hours are all that it does not bill."""
    feed.world.ninja.invoice("TAIGA-T7")
    await change(feed, story, hours=3)
    feed.world.ninja.invoice("TAIGA-T7-2", "INV2")
    feed.world.ninja.drop_invoice("TAIGA-T7")
    await change(feed, story, hours=4)
    assert sum(feed.world.ninja.hours.values()) == 4


async def test_invoiced_entry_deleted_by_hand(feed: Feed, story: Story) -> None:
    """Deleting an invoiced entry leaves the invoice line: its hours still count as billed."""
    feed.world.ninja.invoice("TAIGA-T7")
    feed.world.ninja.delete("TAIGA-T7")
    await change(feed, story, hours=3)
    assert feed.world.ninja.hours == {"TAIGA-T7-2": 1}


async def test_entry_deleted_by_hand(feed: Feed, story: Story) -> None:
    """An entry that was deleted by hand comes back under its number."""
    feed.world.ninja.delete("TAIGA-T7")
    assert "TAIGA-T7 restored: 2 h at 75" in (await feed.told(story)).reason
    assert feed.world.ninja.hours == {"TAIGA-T7": 2}


async def test_entry_purged_by_hand(feed: Feed, story: Story) -> None:
    """An entry that is gone without a trace is made again."""
    feed.world.ninja.tasks.clear()
    assert "TAIGA-T7 created" in (await feed.told(story)).reason


async def test_entry_changed_by_hand(feed: Feed, story: Story) -> None:
    """An entry that a person changed is put right; one that is right is not written."""
    (task,) = feed.world.ninja.tasks.values()
    feed.world.ninja.tasks[task.id] = replace(task, rate=Decimal(1))
    assert "TAIGA-T7 updated" in (await feed.told(story)).reason
    assert feed.world.ninja.live["TAIGA-T7"].rate == 75
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 2 h already")
    assert feed.world.ninja.count("update_task") == 1


async def test_server_that_rounds_is_not_fought(feed: Feed, story: Story) -> None:
    """What the server stores rounded is recognised as ours, and not written again at every event."""
    feed.world.ninja.rounds_to = 900
    await change(feed, story, hours="1:01")
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 1.0167 h already")
    assert feed.world.ninja.count("update_task") == 1


async def test_unchanged_entry_is_not_saved_again(feed: Feed, story: Story) -> None:
    """Converging what is right writes no link either."""
    saves = feed.world.links.saves
    await feed.told(story)
    assert feed.world.links.saves == saves


async def test_project_of_another_client() -> None:
    """A project that belongs to another client would bill that client: the entry is taken out and a person told."""
    feed, story = Feed(world(project={"invoiceninja_project_id": "stranger"})), Story()
    story.type(billable=True, hours=2)
    story.close()
    with pytest.raises(NeedsPerson, match="project stranger belongs to client other, not to acme") as caught:
        await feed.told(story)
    assert "invoiceninja_project_id" in caught.value.hint
    assert feed.world.ninja.live == {}
    feed.world.ninja.projects["stranger"] = "acme"
    assert "TAIGA-T7 restored" in (await feed.told(story)).reason
    assert feed.world.ninja.live["TAIGA-T7"].client_id == "acme"


async def test_unknown_project() -> None:
    """A project that Invoice Ninja does not know is dropped there: recorded without it, and a person is told."""
    feed, story = Feed(world(project={"invoiceninja_project_id": "gone"})), Story()
    story.type(billable=True, hours=2)
    story.close()
    await feed.told(story)
    assert (feed.world.ninja.live["TAIGA-T7"].project_id, feed.world.reviews.kinds) == ("", [UNKNOWN_PROJECT])
    assert await feed.told(story) == Processed(Code.TIME_RECORDED, "TAIGA-T7 has 2 h already")
    feed.world.ninja.projects["gone"] = "acme"
    await change(feed, story, hours=3)
    assert (feed.world.ninja.live["TAIGA-T7"].project_id, feed.world.reviews.kinds) == ("gone", [])


async def test_unknown_client() -> None:
    """A client that Invoice Ninja does not know is for a person, and nothing is made."""
    feed, story = Feed(world()), Story()
    story.type(billable=True, hours=2, client="nobody")
    story.close()
    with pytest.raises(NeedsPerson, match='Invoice Ninja has no client "nobody"') as caught:
        await feed.told(story)
    assert "replay this event" in caught.value.hint
    assert feed.world.ninja.tasks == {}


async def test_client_that_was_just_deleted() -> None:
    """A client that Invoice Ninja refuses when the entry is made is for a person."""
    feed, story = Feed(world()), Story()
    story.type(billable=True, hours=2)
    story.close()
    feed.world.ninja.before("create_task", rejected("POST /tasks", "client_id", "The selected client id is invalid."))
    with pytest.raises(NeedsPerson, match='refuses the client "acme"'):
        await feed.told(story)


async def test_other_refusals_pass_through() -> None:
    """Any other refusal reaches the person in the server's words."""
    feed, story = Feed(world()), Story()
    story.type(billable=True, hours=2)
    story.close()
    feed.world.ninja.before("create_task", rejected("POST /tasks", "description", "is too long"))
    with pytest.raises(Rejected, match="is too long"):
        await feed.told(story)


async def test_client_number_typed_by_a_person(feed: Feed, story: Story) -> None:
    """A client number typed into Taiga bills that client, without the project of the mapping."""
    await change(feed, story, client="0001")
    assert feed.world.ninja.live["TAIGA-T7"].client_id == "acme"


async def test_bulk_closed_task_keeps_its_place(feed: Feed, story: Story) -> None:
    """A task whose time of closing Taiga does not know keeps its place when it changes later."""
    end = feed.world.ninja.live["TAIGA-T7"].spans[0][1]
    story.tell(finished_at=None)
    await change(feed, story, hours=3)
    assert feed.world.ninja.live["TAIGA-T7"].spans == ((end - 3 * 3600, end),)


def _invoice(ninja: FakeNinja) -> Callable[[], None]:
    return lambda: ninja.invoice("TAIGA-T7")


@pytest.mark.parametrize("lock", [False, True])
async def test_invoiced_at_the_moment_of_the_update(feed: Feed, story: Story, *, lock: bool) -> None:
    """An entry invoiced between our look and our write keeps the hours that the invoice bills; then a correction."""
    ninja = feed.world.ninja
    ninja.lock = lock
    ninja.before("update_task", _invoice(ninja))
    story.type(hours=5)
    with pytest.raises(RetryLater, match="just now"):
        await feed.told(story)
    assert ninja.hours == {"TAIGA-T7": 2}
    await feed.told(story)
    assert ninja.hours == {"TAIGA-T7": 2, "TAIGA-T7-2": 3}


@pytest.mark.parametrize("hours", [1, 5])
async def test_invoiced_at_the_moment_of_the_removal(feed: Feed, story: Story, hours: int) -> None:
    """An entry invoiced between our look and our removal comes back, and the next look finds it locked."""
    ninja = feed.world.ninja
    ninja.before("delete_task", _invoice(ninja))
    story.type(billable=False)
    with pytest.raises(RetryLater, match="TAIGA-T7 was invoiced just now"):
        await feed.told(story)
    assert ninja.hours == {"TAIGA-T7": 2}
    await feed.told(story)
    assert feed.world.reviews.kinds == [CREDIT]
    await change(feed, story, billable=True, hours=hours)
    assert feed.world.reviews.kinds == ([CREDIT] if hours < 2 else [])


async def test_deleted_at_the_moment_of_the_update(feed: Feed, story: Story) -> None:
    """An entry deleted by hand between our look and our write is looked at again, and restored."""
    feed.world.ninja.before("update_task", lambda: feed.world.ninja.delete("TAIGA-T7"))
    story.type(hours=5)
    with pytest.raises(RetryLater):
        await feed.told(story)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 5}


async def test_purged_at_the_moment_of_the_update(feed: Feed, story: Story) -> None:
    """An entry that vanishes between our look and our write is looked for again, and made anew."""
    feed.world.ninja.before("update_task", feed.world.ninja.tasks.clear)
    story.type(hours=5)
    with pytest.raises(RetryLater):
        await feed.told(story)
    await feed.told(story)
    assert feed.world.ninja.hours == {"TAIGA-T7": 5}


async def test_update_that_is_refused(feed: Feed, story: Story) -> None:
    """A refused update of an entry that is as it was reaches the person."""
    feed.world.ninja.before("update_task", rejected("PUT /tasks", "description", "is too long"))
    story.type(hours=5)
    with pytest.raises(Rejected, match="is too long"):
        await feed.told(story)


async def test_below_the_minimum() -> None:
    """Hours below a minimum that is skipped are no entry, and take one back."""
    feed, story = Feed(world(billing_rules={"min_billable_hours": 1, "below_minimum": "skip"})), Story()
    story.type(billable=True, hours=2)
    story.close()
    await feed.told(story)
    assert "below the minimum of 1 h; TAIGA-T7 removed" in await change(feed, story, hours=0.5)
    assert await feed.told(story) == Ignored(Code.BELOW_MINIMUM, "below the minimum of 1 h")


async def test_what_invoice_ninja_rounded_is_said(story: Story) -> None:
    """It shows another time than was sent: the outcome names both, and which one is billed."""
    fed = Feed(world())
    fed.world.ninja.rounds_to = 3 * 3600
    outcome = await fed.told(story)
    assert "2 h at 75.00 (Invoice Ninja shows 3 h, because it rounds; 2 h are billed)" in outcome.reason
