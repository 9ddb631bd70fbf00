"""Locks by name that hold across all workers, on one connection of their own.

Within a process each name is an ordinary lock first, so that only one task of it asks PostgreSQL. A holder never waits
with a connection of the pool in its hands. When the worker dies, the server frees its locks; when only the connection
does, the holders are stopped, because others may be inside at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from middleware.store.database import STORE_ERRORS, StoreUnavailableError, away_is_unavailable, connect

_FIRST_WAIT, _LONGEST_WAIT = 0.01, 0.25
"""Seconds between two looks at a lock that another worker holds."""

# A seed of its own: these locks must not meet the subject locks of `middleware.store.events.claims`.
TRY = "SELECT pg_try_advisory_lock(hashtextextended($1, 1))"
RELEASE = "SELECT pg_advisory_unlock(hashtextextended($1, 1))"


class Locks:
    """Named locks; close it at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._local: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        self._freeing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def exclusive(self, name: str) -> AsyncIterator[None]:
        """Hold the lock of this name for a block; waits until nobody else holds it.

        Raises:
            StoreUnavailableError: PostgreSQL is away, or the lock was lost: the block was cancelled.
        """
        with self._counted(name) as lock:
            async with lock:
                connection = await self._taken(name)
                try:
                    with _stopped_with(connection, name):
                        yield
                finally:
                    await asyncio.shield(self._release(connection, name))

    async def aclose(self) -> None:
        """Free all locks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(timeout=5)

    @contextmanager
    def _counted(self, name: str) -> Iterator[asyncio.Lock]:
        """The lock of this process for a name, forgotten when nobody uses it any more."""
        lock, users = self._local.setdefault(name, (asyncio.Lock(), []))
        users.append(None)
        try:
            yield lock
        finally:
            users.pop()
            if not users:
                self._local.pop(name, None)

    async def _taken(self, name: str) -> asyncpg.Connection:
        wait = _FIRST_WAIT
        while True:
            attempt = asyncio.create_task(self._try(name))
            try:
                connection = await asyncio.shield(attempt)
            except asyncio.CancelledError:
                # The question is on its way: a lock that nobody knows of would be held for ever.
                attempt.add_done_callback(self._free_unused(name))
                raise
            if connection is not None:
                return connection
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _try(self, name: str) -> asyncpg.Connection | None:
        async with self._turn:
            with away_is_unavailable():
                connection = await self._connected()
                try:
                    return connection if await connection.fetchval(TRY, name) else None
                except BaseException:
                    # The lock may be ours without anybody who would free it.
                    connection.terminate()
                    raise

    def _free_unused(self, name: str) -> Callable[[asyncio.Task[asyncpg.Connection | None]], None]:
        def free(attempt: asyncio.Task[asyncpg.Connection | None]) -> None:
            if not attempt.cancelled() and attempt.exception() is None and (connection := attempt.result()):
                self._freeing.add(task := asyncio.create_task(self._release(connection, name)))
                task.add_done_callback(self._freeing.discard)

        return free

    async def _release(self, connection: asyncpg.Connection, name: str) -> None:
        # A connection that is gone has lost its locks already.
        async with self._turn:
            if connection.is_closed():
                return
            try:
                await connection.execute(RELEASE, name)
            except STORE_ERRORS:
                connection.terminate()

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._url, command_timeout=30)
        return self._connection


@contextmanager
def _stopped_with(connection: asyncpg.Connection, name: str) -> Iterator[None]:
    """Cancel the block when the connection ends.

    Raises:
        StoreUnavailableError: it did; like `asyncio.timeout`, this leaves the cancellations of others as they are.
    """
    task = asyncio.current_task()
    if task is None or connection.is_closed():
        raise StoreUnavailableError(f"the lock {name!r} was lost before its holder began")
    cancelled_by_others, is_inside, is_lost = task.cancelling(), True, False

    def stop(_connection: object) -> None:
        nonlocal is_lost
        if is_inside:
            is_lost = True
            task.cancel()

    connection.add_termination_listener(stop)
    try:
        yield
    except asyncio.CancelledError as error:
        if is_lost and task.cancelling() - 1 <= cancelled_by_others:
            raise StoreUnavailableError(f"the lock {name!r} was lost: PostgreSQL ended its connection") from error
        raise
    finally:
        is_inside = False
        connection.remove_termination_listener(stop)
        if is_lost:
            task.uncancel()
