"""Wishes that are carried out together."""

import asyncio
from collections.abc import Sequence

import asyncpg
import pytest

from middleware.store.batching import Batcher
from middleware.store.database import StoreUnavailableError


class Statements:
    """Doubles numbers, many at a time; fails for those in `bad`, or wholly with `error`."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.bad: set[int] = set()
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def double(self, numbers: Sequence[int]) -> Sequence[int]:
        """One statement."""
        self.batches.append(list(numbers))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        if self.bad.intersection(numbers):
            raise asyncpg.DataError("this cannot be stored")
        return [2 * number for number in numbers]


async def asked(batcher: Batcher[int, int], *numbers: int) -> list[int | BaseException]:
    """What came of numbers that were asked for at the same time."""
    return await asyncio.gather(*(batcher.submit(number) for number in numbers), return_exceptions=True)


async def test_those_who_come_meanwhile_share() -> None:
    """The first wish is carried out at once, those which arrive meanwhile share the next statements."""
    statements = Statements()
    batcher = Batcher(statements.double, most=2)
    statements.go.clear()
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = asyncio.create_task(asked(batcher, 2, 3, 4))
    await asyncio.sleep(0)
    statements.go.set()
    assert (await first, await rest) == (2, [4, 6, 8])
    assert statements.batches == [[1], [2, 3], [4]]


async def test_one_bad_wish_spoils_no_other() -> None:
    """What cannot be stored fails alone."""
    statements = Statements()
    statements.bad = {2}
    first, second, third = await asked(Batcher(statements.double, most=10), 1, 2, 3)
    assert (first, third) == (2, 6)
    assert isinstance(second, asyncpg.DataError)


async def test_failure_of_the_store_is_everybodys() -> None:
    """When PostgreSQL is away all who wait are told, and later wishes are carried out again."""
    statements = Statements()
    batcher = Batcher(statements.double, most=10)
    statements.error = StoreUnavailableError("away")
    assert [type(result) for result in await asked(batcher, 1, 2)] == [StoreUnavailableError] * 2
    statements.error = None
    assert await batcher.submit(3) == 6


async def test_who_goes_away_is_not_missed() -> None:
    """A wish whose owner was cancelled before its turn is not carried out, and disturbs nobody."""
    statements = Statements()
    batcher = Batcher(statements.double, most=10)
    gone, stays = (asyncio.create_task(batcher.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert await stays == 4
    assert statements.batches == [[2]]


async def test_when_all_have_gone_away() -> None:
    """No statement is made for nobody, and the next wish is carried out."""
    statements = Statements()
    batcher = Batcher(statements.double, most=10)
    statements.go.clear()
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)
    gone.cancel()
    statements.go.set()
    assert await first == 2
    assert await batcher.submit(3) == 6
    assert statements.batches == [[1], [3]]


async def test_who_is_cancelled_ends_with_the_statement() -> None:
    """Who is cancelled while the statement is under way waits for its end; what is done one by one leaves them out."""
    statements = Statements()
    statements.bad = {1}
    batcher = Batcher(statements.double, most=10)
    statements.go.clear()
    bad, gone, stays = (asyncio.create_task(batcher.submit(number)) for number in (1, 2, 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert not gone.done()
    statements.go.set()
    results = await asyncio.gather(bad, gone, stays, return_exceptions=True)
    assert [type(result) for result in results] == [asyncpg.DataError, asyncio.CancelledError, int]
    assert statements.batches == [[1, 2, 3], [1], [3]]


async def test_end_of_the_program_leaves_nobody_waiting() -> None:
    """When the work is cancelled with the loop, everybody who waits is told."""
    statements = Statements()
    batcher = Batcher(statements.double, most=1)
    statements.go.clear()
    waiting = [asyncio.create_task(batcher.submit(number)) for number in (1, 2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (work,) = (task for task in asyncio.all_tasks() if task.get_name() == "batch")
    work.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailableError] * 2
    with pytest.raises(asyncio.CancelledError):
        await work
