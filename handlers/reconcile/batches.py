"""Reads many items, some at a time, and hands them over soon: a run that is ended in the middle has done its part."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from handlers.ports.context import Clock
from handlers.reconcile.reconcile_look import Found, Look

READS_AT_A_TIME = 8
BATCH = 200
LONGEST_KEPT = timedelta(minutes=1)
"""At a slow pace a batch takes hours; what was read is not held back for longer than this."""

Read = Callable[[Look], Awaitable[Found | None]]
Settle = Callable[[Sequence[Found]], Awaitable[None]]


class BatchReader:
    """Reads items by `read` and hands over what it finds to `settle`, in batches, and at the latest after a minute."""

    def __init__(self, read: Read, settle: Settle, clock: Clock) -> None:
        self._read = read
        self._settle = settle
        self._clock = clock
        self._found: list[Found] = []
        self._handed_over_at = clock()
        self._is_over = False

    async def all(self, looks: Sequence[Look]) -> None:
        """Read all of them, the first ones first.

        Raises:
            RemoteError: an item cannot be read. No other one is begun then; what was read is handed over before.
        """
        waiting = iter(looks)

        async def work() -> None:
            try:
                for look in waiting:
                    await self._take(look)
                    if self._is_over:
                        return
            except Exception:
                self._is_over = True
                raise

        results = await asyncio.gather(*(work() for _ in looks[:READS_AT_A_TIME]), return_exceptions=True)
        await self._hand_over()
        for result in results:
            if result is not None:
                raise result

    async def _take(self, look: Look) -> None:
        found = await self._read(look)
        if found is not None:
            self._found.append(found)
        if len(self._found) >= BATCH or self._clock() - self._handed_over_at >= LONGEST_KEPT:
            await self._hand_over()

    async def _hand_over(self) -> None:
        batch, self._found = self._found, []
        self._handed_over_at = self._clock()
        if batch:
            await self._settle(batch)
