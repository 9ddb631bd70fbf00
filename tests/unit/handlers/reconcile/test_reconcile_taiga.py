"""Reconciling with Taiga: what no webhook told is found once, with its reason, and ends as it stands in Taiga."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.reconcile.taiga_models import Scope
from tests.support.invoicing.invoicing_bench import Killed
from tests.support.reconcile.reconcile_fakes import Board
from tests.support.webhook_story import Story

ROLLING = Scope(rolling=50)
ACTS: dict[str, Any] = {
    "close": Story.close,
    "open": Story.reopen,
    "more": lambda story: story.type(hours=story.values.get("Duration (Hours)", 0) + 1),
    "billable": lambda story: story.type(billable=True),
    "not billable": lambda story: story.type(billable=False),
    "rename": lambda story: story.tell(subject=f"{story.subject}!"),
    "delete": Story.delete,
}
LIVES = st.lists(st.lists(st.tuples(st.sampled_from(sorted(ACTS)), st.booleans()), max_size=6), min_size=1, max_size=3)


@pytest.fixture
def board() -> Board:
    """A project without cards."""
    return Board()


async def _why(board: Board, scope: Scope = ROLLING) -> list[str]:
    """The reasons of the differences that a run finds and puts in."""
    return [one.why for one in (await board.reconcile(scope)).differences]


@given(before=LIVES, after=LIVES)
async def test_any_lives_with_any_webhooks_lost(
    before: list[list[tuple[str, bool]]], after: list[list[tuple[str, bool]]]
) -> None:
    """After one run every entry is as its task stands, whatever arrived and what did not; the next finds nothing."""
    board = Board()
    cards = [board.card() for _ in before]
    for lives in (before, after):
        for card, acts in zip(cards, lives, strict=False):
            for name, arrives in acts:
                if (card.kind, card.id) in board.taiga.items:
                    event = board.change(card, ACTS[name], silently=name in {"more", "billable", "not billable"})
                    if arrives:
                        await board.tell(event)
        await board.reconcile(ROLLING)
        assert board.world.ninja.hours == {f"TAIGA-T{card.id}": hours for card in cards if (hours := _due(board, card))}
        put = list(board.keys)
        assert await _why(board) == []
        assert board.keys == put


def _due(board: Board, card: Story) -> int:
    """The hours that are to be billed of a card, as Taiga has it now."""
    item = board.taiga.items.get((card.kind, card.id))
    if item is None or not item.is_closed:
        return 0
    values = board.taiga.named(card.kind, card.id)
    return int(values["Duration (Hours)"]) if values["Billable"] else 0


class TestReasons:
    """Each finding says why it goes in."""

    async def test_closed_and_never_told(self, board: Board) -> None:
        """Taiga sends nothing for a task without a story: it is billed all the same, and once."""
        card = board.closed()
        report = await board.reconcile()
        (one,) = report.differences
        assert (one.subject, one.why) == (card.name, "closed, but no webhook reported it")
        assert report.as_json() == {
            "looked_at": 1,
            "items_read": 1,
            "postponed": 0,
            "unread": 0,
            "problems": [],
            "differences": [
                {
                    "subject": "taiga:task:1",
                    "project_id": 1,
                    "task": "#1: Task 1",
                    "permalink": "",
                    "why": "closed, but no webhook reported it",
                }
            ],
        }
        assert board.world.ninja.hours == {"TAIGA-T1": 2}

    async def test_changed_opened_again_and_gone(self, board: Board) -> None:
        """With an entry, every later state goes in with the word for it."""
        card = board.closed()
        await board.reconcile()
        board.change(card, lambda story: story.type(hours=5), silently=True)
        assert await _why(board) == ["changed since event 1000"]
        board.change(card, Story.reopen)
        assert await _why(board) == ["it has a time entry, but is no longer closed"]
        board.change(card, Story.close)
        assert await _why(board) == ["changed since event 1002"]
        board.change(card, Story.delete)
        assert await _why(board) == ["it has a time entry, but is gone from Taiga"]
        assert board.world.ninja.hours == {}

    @pytest.mark.parametrize("end", [Story.delete, Story.reopen])
    async def test_closed_again_by_a_webhook_and_then_gone(self, board: Board, end: Any) -> None:
        """Once found open, closed again with a webhook, and ended without one: its new entry is not forgotten."""
        card = board.closed()
        await board.reconcile()
        board.change(card, Story.reopen)
        await board.reconcile()
        await board.tell(board.change(card, Story.close))
        assert board.world.ninja.hours == {"TAIGA-T1": 2}
        board.change(card, end)
        assert len(await _why(board)) == 1
        assert board.world.ninja.hours == {}
        board.lists.calls.clear()
        assert await _why(board) == []
        assert board.lists.calls == ["closed of 1", "tasks of 1 seen", "closed of 2", "tasks of 2 seen"]

    async def test_told_and_settled_but_without_an_entry(self, board: Board) -> None:
        """What was settled while the rules asked for nothing is put in when they do."""
        card = board.card()
        await board.tell(board.change(card, Story.close))
        board.world.links.rows.clear()
        assert await _why(board) == ["billable, but there is no time entry"]

    async def test_gone_between_list_and_look(self, board: Board) -> None:
        """What the list showed is what is told as deleted."""
        card = board.closed()
        await board.reconcile()
        board.change(card, lambda story: story.tell(subject="Renamed"))
        del board.taiga.values["task", card.id]
        (one,) = (await board.reconcile()).differences
        assert (one.item.is_deleted, one.item.subject, one.item.attributes) == (True, "Renamed", None)
        assert board.seen.rows[card.name].state == "gone"

    async def test_gone_and_told_by_nobody(self, board: Board) -> None:
        """An entry whose task nobody remembers is named, not guessed at."""
        card = board.closed()
        await board.reconcile()
        board.change(card, Story.delete)
        board.seen.rows.clear()
        board._feeds.clear()
        report = await board.reconcile()
        assert report.problems == (f"{card.name} is gone from Taiga, and no event says what it was",)
        assert report.differences == ()
        assert board.world.ninja.hours == {"TAIGA-T1": 2}


class TestPeace:
    """What is known or comes to nothing stays out."""

    async def test_what_webhooks_told(self, board: Board) -> None:
        """Told, settled or not yet: nothing is put in."""
        told, waiting = board.card(), board.card()
        await board.tell(board.change(told, Story.close))
        await board.take(board.change(waiting, Story.close), settles=False)
        assert await _why(board) == []

    async def test_work_that_nobody_bills(self, board: Board) -> None:
        """Closed but not billable, or without hours: no event; nonsense makes one, for a person has to see it."""
        board.change(board.closed(), lambda story: story.type(billable=False), silently=True)
        board.closed(hours=None)
        nonsense = board.closed(hours="about two")
        (one,) = (await board.reconcile()).differences
        assert one.subject == nonsense.name
        assert list(board.statuses.values()) == ["dead"]
        assert await _why(board) == []

    async def test_a_body_that_was_removed(self, board: Board) -> None:
        """When what the newest event told is gone, the last look knows it; without one the state is put in again."""
        card = board.closed()
        await board.reconcile()
        board.seen.has_bodies = False
        assert await _why(board) == []
        board.change(card, lambda story: story.type(hours=9), silently=True)
        assert await _why(board) == ["changed since event 1000"]
        board.seen.rows.clear()
        assert await _why(board) == ["changed since event 1001"]

    async def test_killed_before_it_was_remembered(self, board: Board) -> None:
        """The event is there, the memory is not: the next run finds the event and adds nothing."""
        board.closed()
        board.seen.lose_next = Killed()
        with pytest.raises(Killed):
            await board.reconcile(settles=False)
        (key,) = board.keys
        assert await _why(board) == []
        assert board.keys == [key]
        assert key.startswith("reconcile:taiga:task:1:0:")

    async def test_a_dry_run_changes_nothing(self, board: Board) -> None:
        """It tells what would go in, as often as one likes, and remembers nothing."""
        board.closed()
        for _ in range(2):
            assert len((await board.reconcile(dry_run=True)).differences) == 1
        assert (board.keys, board.seen.rows, board.world.ninja.tasks) == ([], {}, {})
