"""Whatever happens to a task, its entries and their invoices: no hour is lost, none is billed twice."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from handlers.errors import Doubtful, RetryLater, ServerError, Unreachable
from handlers.time.ledger import CREDIT
from tests.support.fakes import NINJA, FakeNinja, hours_of
from tests.support.webhook_story import Feed, Story, show, world

FAILURES = (RetryLater, Doubtful, ServerError, Unreachable)
CALLS = ("create_task", "update_task", "delete_task", "restore_task", "find_task", "task")

steps = st.one_of(
    st.tuples(st.just("hours"), st.sampled_from([0, 1, 2, 3, 5, 8])),
    st.tuples(st.sampled_from(["close", "reopen", "tick", "untick"]), st.just(0)),
    st.tuples(st.sampled_from(["invoice", "drop", "delete by hand"]), st.integers(0, 3)),
    st.tuples(st.sampled_from(["lost before", "lost after", "invoiced meanwhile"]), st.integers(0, 5)),
)


@given(lives=st.lists(steps, min_size=1, max_size=14), lock=st.booleans(), rounds_to=st.sampled_from([1, 900]))
async def test_every_life(lives: list[tuple[str, int]], *, lock: bool, rounds_to: int) -> None:
    """After every convergence, what is open and what is invoiced sum up to the hours, or a credit is proposed."""
    feed, story = Feed(world()), Story()
    ninja = feed.world.ninja
    ninja.lock, ninja.rounds_to = lock, rounds_to
    story.type(billable=True, hours=2)
    story.close()
    for step, choice in lives:
        _live(story, ninja, step, choice)
        await _converge(feed, story)
        _check(feed, story)


def _live(story: Story, ninja: FakeNinja, step: str, choice: int) -> None:
    numbers = sorted(ninja.live)
    number = numbers[choice % len(numbers)] if numbers else ""
    if step == "hours":
        story.type(hours=choice)
    elif step in {"tick", "untick"}:
        story.type(billable=step == "tick")
    elif step in {"close", "reopen"}:
        story.tell(is_closed=step == "close", finished_at=story.now if step == "close" else None)
    elif step == "lost before":
        ninja.before(CALLS[choice], Doubtful(NINJA, CALLS[choice], "lost"))
    elif step == "lost after":
        ninja.after(CALLS[choice], ServerError(NINJA, CALLS[choice], "lost", status=500))
    elif number and step == "invoiced meanwhile":
        # Nobody finds a deleted entry to bill it.
        ninja.before(CALLS[1 + choice % 2], lambda: ninja.invoice(number) if number in ninja.live else None)
    elif number:
        {"invoice": ninja.invoice, "drop": ninja.drop_invoice, "delete by hand": ninja.delete}[step](number)


async def _converge(feed: Feed, story: Story) -> None:
    """Tell the state, and try again as the worker does until a try succeeds."""
    event = story.tell()
    show(feed.world, story)
    for _ in range(10):
        try:
            await feed.deliver(event)
        except FAILURES:
            continue
        return
    raise AssertionError("it does not converge")


def _check(feed: Feed, story: Story) -> None:
    tasks = feed.world.ninja.tasks.values()
    assert len({task.number for task in tasks}) == len(tasks)
    # What an invoice bills counts, whatever became of its entry: the line stays.
    locked = sum(feed.world.ninja.billed.values(), Decimal(0))
    open_hours = sum((hours_of(task) for task in tasks if not (task.is_invoiced or task.is_deleted)), Decimal(0))
    hours = story.values["Duration (Hours)"]
    is_due = story.is_closed and story.values["Billable"] and hours
    assert open_hours == (max(hours - locked, Decimal(0)) if is_due else 0)
    is_too_much = locked > (hours if is_due else 0)
    if story.is_closed:
        assert (CREDIT in feed.world.reviews.kinds) == is_too_much
