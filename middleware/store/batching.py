"""Statements that are wanted at the same time become one: each still waits for its own result."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, Generic, TypeVar

import asyncpg

from middleware.store.database import OUR_MISTAKES, StoreUnavailableError, away_is_unavailable

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Do = Callable[[Sequence[_Item]], Awaitable[Sequence[_Result]]]


class _Batching(ABC, Generic[_Item, _Result]):
    """What is common to both ways: a batch is chosen when everything is ready for its statement.

    Who is cancelled before that is left out. Who is cancelled while the statement is under way ends with it, not
    before: whatever lock its task holds is held until it is decided what was written under it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[tuple[_Item, asyncio.Future[_Result]]] = []
        self._under_way: Sequence[tuple[_Item, asyncio.Future[_Result]]] = ()
        self._decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def submit(self, item: _Item) -> _Result:
        """The result for one item; raises what its statement raised."""
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="batch")
        try:
            return await result
        except asyncio.CancelledError:
            if any(waiter is result for _, waiter in self._under_way):
                await self._decided.wait()
            raise

    @abstractmethod
    def _ready(self) -> AbstractAsyncContextManager[_Do[_Item, _Result]]:
        """What carries out some items, once everything is there that it needs."""

    async def _work(self) -> None:
        while self._waiting:
            try:
                async with self._ready() as do:
                    await self._next_batch(do)
            except Exception as error:  # noqa: BLE001 - it is raised where the results are waited for
                _fail(self._waiting, error)
                self._waiting = []
            except BaseException as error:
                # Cancelled with the loop: nobody may wait for ever.
                _fail([*self._under_way, *self._waiting], StoreUnavailableError(f"cut short: {error!r}"))
                self._waiting = []
                raise
            finally:
                self._under_way = ()
                self._decided.set()

    async def _next_batch(self, do: _Do[_Item, _Result]) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        # A cancelled task may have lost the lock under which it wanted to write: others write there now.
        self._under_way = [one for one in batch if not one[1].cancelled()]
        if self._under_way:
            self._decided.clear()
            await _carry_out(do, self._under_way)


class Batcher(_Batching[_Item, _Result]):
    """Does at once whatever was submitted while the statement before was under way.

    Under load one statement, and one commit, carries the items of many; alone, an item is carried out at once.

    Args:
        do: carries out some items with one statement; one result for each, in order.
        most: items in one statement.
    """

    def __init__(self, do: _Do[_Item, _Result], most: int) -> None:
        super().__init__(most)
        self._do = do

    def _ready(self) -> AbstractAsyncContextManager[_Do[_Item, _Result]]:
        return nullcontext(self._do)


class PooledBatcher(_Batching[_Item, _Result]):
    """The same with a connection of the pool, which `do` is given first: waiting for one may take long.

    `submit` raises `StoreUnavailableError` when there is none.
    """

    def __init__(
        self, pool: asyncpg.Pool, do: Callable[[Any, Sequence[_Item]], Awaitable[Sequence[_Result]]], most: int
    ) -> None:
        super().__init__(most)
        self._pool = pool
        self._do = do

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[_Do[_Item, _Result]]:
        with away_is_unavailable():
            async with self._pool.acquire() as connection:
                yield partial(self._do, connection)


async def _carry_out(do: _Do[_Item, _Result], batch: Sequence[tuple[_Item, asyncio.Future[_Result]]]) -> None:
    try:
        results = await do([item for item, _ in batch])
    except OUR_MISTAKES as error:
        if len(batch) == 1:
            _fail(batch, error)
            return
        # One item that cannot be carried out must not spoil the others'.
        for one in batch:
            if not one[1].cancelled():
                await _carry_out(do, [one])
    except Exception as error:  # noqa: BLE001 - it is raised where the result is waited for
        _fail(batch, error)
    else:
        for (_, waiter), result in zip(batch, results, strict=True):
            if not waiter.done():
                waiter.set_result(result)


def _fail(batch: Sequence[tuple[_Item, asyncio.Future[_Result]]], error: Exception) -> None:
    for _, waiter in batch:
        if not waiter.done():
            waiter.set_exception(error)
