"""Hours typed after closing, their webhook lost: work that changed lately is read again within the hour."""

from datetime import timedelta

import pytest

from handlers.reconcile.taiga_models import Scope
from tests.support.reconcile.reconcile_fakes import Board

HOUR = timedelta(hours=1)


@pytest.fixture
def board() -> Board:
    """A project without cards."""
    return Board()


def _lately(board: Board, rolling: int = 10) -> Scope:
    return Scope(since=board.now - timedelta(days=3), rolling=rolling, reread_after=HOUR)


def _reads(board: Board) -> list[str]:
    calls = [call for call in board.lists.calls if call.startswith(("values", "item"))]
    board.lists.calls.clear()
    return calls


async def test_late_hours_are_found_after_an_hour(board: Board) -> None:
    """Not sooner, for a look costs a request; then with one request, and once."""
    card = board.closed(hours=None)
    await board.reconcile()
    board.change(card, lambda story: story.type(hours=2), silently=True)
    _reads(board)
    assert not (await board.reconcile(_lately(board, rolling=0))).differences
    assert _reads(board) == []
    board.now += 2 * HOUR
    report = await board.reconcile(_lately(board))
    assert [one.subject for one in report.differences] == [card.name]
    assert _reads(board) == [f"values of {card.id}"]
    assert not (await board.reconcile(Scope(since=board.now - HOUR, rolling=0, reread_after=HOUR))).differences


async def test_open_work_is_not_read_again(board: Board) -> None:
    """Nothing is billed of it: its closing shows in the list."""
    board.card(3)
    board.now += 2 * HOUR
    await board.reconcile(_lately(board))
    assert _reads(board) == []


async def test_half_is_left_for_the_others(board: Board) -> None:
    """Much that changed lately takes its turns, the longest unread first, and the rolling look goes on beside it."""
    old = [board.closed(hours=None) for _ in range(4)]
    await board.reconcile()
    board.now += timedelta(days=10)
    new = [board.closed(hours=None) for _ in range(6)]
    await board.reconcile()
    board.now += 2 * HOUR
    _reads(board)
    await board.reconcile(_lately(board, rolling=4))
    first = _reads(board)
    assert set(first[:4]) == {f"values of {card.id}" for card in new[:4]}
    rolled = {call for call in first if call.startswith("item")}
    assert (len(rolled), rolled <= {f"item {card.id}" for card in old}) == (2, True)
    board.now += timedelta(minutes=15)
    await board.reconcile(_lately(board, rolling=4))
    assert set(_reads(board)[:2]) == {f"values of {card.id}" for card in new[4:]}
