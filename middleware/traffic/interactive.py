"""The requests of pages: by hand, as those of commands are; all pages of a receiver are one among those who share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from middleware.traffic.traffic import Outages


class Hands:
    """The ways by hand of one receiver.

    However many pages ask at a time, they count once and take one connection for it: the dashboard has few, and each
    page needs another one to go on.
    """

    def __init__(self, outages: Outages) -> None:
        self._outages = outages
        self._asking = 0
        self._share: AsyncExitStack | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Outages]:
        """The ways, for as long as somebody asks; what all processes know of the systems is copied first.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        await self._begin()
        try:
            await self._outages.failing()
            yield self._outages
        finally:
            await self._end()

    async def _begin(self) -> None:
        async with self._turn:
            if self._share is None:
                share = AsyncExitStack()
                await share.enter_async_context(self._outages.circuits.store.counted())
                self._share = share
            self._asking += 1

    async def _end(self) -> None:
        self._asking -= 1
        if not self._asking and self._share is not None:
            share, self._share = self._share, None
            await share.aclose()
