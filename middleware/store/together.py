"""Statements that are wanted at the same time become one: each still waits for its own result."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from middleware.store.database import OUR_MISTAKES, StoreUnavailableError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Together(Generic[_Item, _Result]):
    """Does at once whatever was asked for while the statement before was under way.

    Under load one statement, and one commit, carries the wishes of many; alone, a wish is carried at once.

    Args:
        do: carries out some wishes with one statement; one result for each, in order.
        most: wishes in one statement.
    """

    def __init__(self, do: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result]]], most: int) -> None:
        self._do = do
        self._most = most
        self._waiting: list[tuple[_Item, asyncio.Future[_Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, item: _Item) -> _Result:
        """The result for one item; raises what its statement raised."""
        result: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="together")
        return await result

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            # Whoever was cancelled may have lost the lock under which it wanted to write: others write there now.
            batch = [one for one in batch if not one[1].cancelled()]
            if not batch:
                continue
            try:
                await self._carry_out(batch)
            except BaseException as error:
                # Cancelled with the loop: nobody may wait for ever.
                _fail([*batch, *self._waiting], StoreUnavailableError(f"cut short: {error!r}"))
                self._waiting = []
                raise

    async def _carry_out(self, batch: Sequence[tuple[_Item, asyncio.Future[_Result]]]) -> None:
        try:
            results = await self._do([item for item, _ in batch])
        except OUR_MISTAKES as error:
            if len(batch) == 1:
                _fail(batch, error)
                return
            # One wish that cannot be carried out must not spoil the others'.
            for one in batch:
                await self._carry_out([one])
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
