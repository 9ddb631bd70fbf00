"""Reconciling with Taiga asks for as little as it can, goes on where it stopped, and says what it could not look at."""

from contextlib import suppress
from datetime import timedelta

import pytest

from handlers.errors import Rejected, ServerError
from handlers.reconcile.batches import READS_AT_A_TIME
from handlers.reconcile.taiga_models import Scope
from tests.support.fakes import TAIGA
from tests.support.reconcile.reconcile_fakes import Board
from tests.support.webhook_story import START, Story

FORBIDDEN = Rejected(TAIGA, "GET /tasks", "You do not have permission", status=403)


@pytest.fixture
def board() -> Board:
    """A project without cards."""
    return Board()


async def test_the_newest_first_and_the_rest_next_time(board: Board) -> None:
    """More news than a run may read: what changed last goes first, and every run says what it left."""
    cards = [board.closed(1) for _ in range(5)]
    reports = [await board.reconcile(Scope(rolling=0, most_reads=2)) for _ in range(4)]
    found = [[one.item.id for one in report.differences] for report in reports]
    assert found == [[cards[4].id, cards[3].id], [cards[2].id, cards[1].id], [cards[0].id], []]
    assert [report.postponed for report in reports] == [3, 1, 0, 0]


async def test_the_rolling_look_comes_by_everywhere(board: Board) -> None:
    """Hours typed after closing show in no list: a few items a run, the longest unread first, until all were seen."""
    cards = [board.closed(hours=None) for _ in range(5)]
    await board.reconcile()
    for card in cards:
        board.change(card, lambda story: story.type(hours=1), silently=True)
    found = []
    for _ in range(5):
        report = await board.reconcile(Scope(rolling=2))
        assert report.items_read <= 2
        found += [one.item.id for one in report.differences]
    assert sorted(found) == [card.id for card in cards]


async def test_the_rolling_look_is_shared(board: Board) -> None:
    """Items with and without an entry take their turns; where there are few of one kind, the other has the rest."""
    for _ in range(6):
        board.closed(1)
    for _ in range(2):
        board.closed(hours=None)
    await board.reconcile()
    board.lists.calls.clear()
    await board.reconcile(Scope(rolling=6))
    read = {call.rpartition(" ")[2] for call in board.lists.calls if call.startswith(("item ", "values of "))}
    assert (len(read), read & {"7", "8"}) == (6, {"7", "8"})


async def test_what_seems_unchanged_costs_nothing(board: Board) -> None:
    """The second look at a thousand closed tasks is one list a project, and progress is told on the way."""
    for _ in range(1000):
        board.closed(hours=None)
    first = await board.reconcile()
    board.lists.calls.clear()
    second = await board.reconcile()
    assert (first.items_read, second.looked_at, second.items_read) == (1000, 1000, 0)
    assert board.lists.calls == ["closed of 1", "closed of 2", "tasks of 2 seen"]
    assert board.progress[:5] == [("project 1", number) for number in (200, 400, 600, 800, 1000)]
    assert ("items read", 400) in board.progress


async def test_only_what_changed_lately(board: Board) -> None:
    """The frequent look asks for recent changes alone; open work without an entry needs no request of its own."""
    board.closed(1)
    since = board.now + timedelta(seconds=1)
    fresh, open_card = board.closed(2), board.card(3)
    board.change(open_card, lambda story: story.tell(subject="Renamed"))
    report = await board.reconcile(Scope(since=since, rolling=0, proves_empty=False))
    assert (report.looked_at, report.items_read) == (2, 1)
    assert [one.item.id for one in report.differences] == [fresh.id]
    assert board.lists.calls == ["recent of 1", f"values of {fresh.id}", "recent of 2"]


async def test_opened_again_without_an_entry(board: Board) -> None:
    """What was closed and not billable, and is open now, is not asked about again."""
    card = board.closed(hours=None)
    await board.reconcile()
    board.change(card, Story.reopen)
    await board.reconcile()
    assert board.seen.rows[card.name].state == "open"
    board.lists.calls.clear()
    board.change(card, lambda story: story.tell(subject="Renamed"))
    await board.reconcile(Scope(since=START, rolling=50, proves_empty=False))
    assert board.lists.calls == ["recent of 1", "recent of 2"]


async def test_one_project_alone(board: Board) -> None:
    """Asked for one project, the other is not looked at, nor is anything else."""
    board.closed(1)
    other = board.closed(2, project_id=2)
    report = await board.reconcile(Scope(project_id=2, rolling=0))
    assert [one.subject for one in report.differences] == [other.name]
    assert (await board.reconcile(Scope(project_id=3))).looked_at == 0


async def test_an_entry_of_an_item_that_no_list_shows(board: Board) -> None:
    """It was opened again before any look found it: its entry leads to it."""
    card = board.card()
    await board.tell(board.change(card, Story.close))
    board.change(card, Story.reopen)
    (one,) = (await board.reconcile()).differences
    assert (one.subject, one.why) == (card.name, "it has a time entry, but is no longer closed")
    assert board.world.ninja.hours == {}


async def test_a_project_that_is_closed_to_us(board: Board) -> None:
    """Its entries stay, the run says so, and the other project is looked at."""
    card, other = board.closed(1), board.closed(2, project_id=2)
    await board.reconcile()
    board.change(other, lambda story: story.type(hours=4))
    board.lists.before("closed of 1", FORBIDDEN)
    report = await board.reconcile()
    assert report.problems == (f"project 1 was left out: {FORBIDDEN}",)
    assert [one.subject for one in report.differences] == [other.name]
    assert board.world.ninja.hours == {f"TAIGA-T{card.id}": 1, f"TAIGA-T{other.id}": 4}


async def test_a_project_that_is_hidden_from_us(board: Board) -> None:
    """Taiga shows an empty list of it: the run says that it was not looked at, and its entries stay."""
    card = board.closed(1)
    await board.reconcile()
    board.lists.hidden.add(1)
    report = await board.reconcile()
    assert report.problems == ("project 1 was left out: our Taiga account may not see items of type task in it",)
    assert not report.differences
    assert board.world.ninja.hours == {f"TAIGA-T{card.id}": 1}


async def test_an_item_that_is_closed_to_us(board: Board) -> None:
    """It is named; a later run that may read it puts it in."""
    card, other = board.closed(1), board.closed(2)
    board.lists.before(f"values of {card.id}", FORBIDDEN)
    report = await board.reconcile()
    assert report.problems == (f"{card.name} was left out: {FORBIDDEN}",)
    assert [one.subject for one in report.differences] == [other.name]
    assert [one.subject for one in (await board.reconcile()).differences] == [card.name]


async def test_an_item_on_which_taiga_stumbles(board: Board) -> None:
    """It is named, and keeps no other item from being looked at, in whatever order, and however often it fails."""
    card, *others = [board.closed(1) for _ in range(12)]
    broken = ServerError(TAIGA, "GET", "broken", status=500)
    board.lists.before(f"values of {card.id}", broken, broken)
    report = await board.reconcile()
    assert report.problems == (f"{card.name} was left out: {broken}",)
    assert {one.subject for one in report.differences} == {other.name for other in others}
    assert (await board.reconcile()).problems == report.problems
    assert [one.subject for one in (await board.reconcile()).differences] == [card.name]


async def test_nothing_is_begun_after_taiga_failed(board: Board) -> None:
    """The five newest fail: what is under way beside them comes to its end, and the rest is left to the next run."""
    cards = [board.closed(1) for _ in range(30)]
    for card in cards[25:]:
        board.lists.before(f"values of {card.id}", ServerError(TAIGA, "GET", "broken", status=500))
    with pytest.raises(ServerError):
        await board.reconcile()
    assert set(board.seen.rows) == {card.name for card in cards[25 - READS_AT_A_TIME + 1 : 25]}


async def test_taiga_fails(board: Board) -> None:
    """The run ends with Taiga's error, and has put in what it read until then; the next one does the rest."""
    cards = [board.closed(1) for _ in range(30)]
    for card in cards[:20]:
        board.lists.before(f"values of {card.id}", ServerError(TAIGA, "GET", "broken", status=500))
    with pytest.raises(ServerError):
        await board.reconcile()
    assert set(board.seen.rows) == {card.name for card in cards[20:]}
    assert len(board.keys) == 10
    for _ in cards:
        with suppress(ServerError):
            await board.reconcile()
    assert (len(board.seen.rows), len(board.keys)) == (30, 30)
