"""Writes that are carried out together, when the one who wanted them is cancelled or wants what cannot be stored."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Collection
from contextlib import asynccontextmanager

import asyncpg

from handlers.ports.context import Link
from middleware.store.billing.links import LinkStore
from middleware.store.database import open_pool
from tests.support.pipeline import until


def link(subject: str, remote_id: str = "old", **state: object) -> Link:
    """The link of a subject to its time entry."""
    return Link(subject, "time_entry", f"number of {subject}", remote_id, state)


@asynccontextmanager
async def row_in_use(url: str, subject: str) -> AsyncIterator[None]:
    """Somebody else is writing the link of this subject, and takes long."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN")
        await connection.execute("UPDATE links SET updated_at = now() WHERE subject = $1", subject)
        yield
    finally:
        await connection.close()


async def somebody_waits(pool: asyncpg.Pool) -> bool:
    """Whether a statement waits for a lock."""
    return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))


async def test_cancelled_while_there_is_no_connection(clean_database: str) -> None:
    """Who is cancelled before the statement was sent writes nothing: others may have written there since."""
    async with open_pool(clean_database, size=1) as pool, open_pool(clean_database, size=1) as of_others:
        old, new = LinkStore(pool), LinkStore(of_others)
        async with pool.acquire():
            saving = asyncio.create_task(old.save(link("s", "old")))
            await asyncio.sleep(0.05)
            saving.cancel()
            await asyncio.wait([saving])
            await new.save(link("s", "new"))
        await old.save(link("other"))
        assert [one.remote_id for one in await new.of_subject("s")] == ["new"]


async def test_cancelled_while_it_is_written(clean_database: str) -> None:
    """Who is cancelled while the statement is under way ends with it: until then nobody else may take the subject."""
    async with open_pool(clean_database, size=1) as pool, open_pool(clean_database, size=2) as of_others:
        old, new = LinkStore(pool), LinkStore(of_others)
        await new.save(link("a"))
        async with row_in_use(clean_database, "a"):
            # One statement for both, in the order of their subjects: it waits for the first one.
            savings = [asyncio.create_task(old.save(link(subject, "old"))) for subject in ("a", "s")]
            await until(lambda: somebody_waits(of_others))
            for saving in savings:
                saving.cancel()
            takes_over = asyncio.create_task(_after(savings, new.save(link("s", "new"))))
            await asyncio.sleep(0.05)
        await takes_over
        await old.save(link("other"))
        assert [one.remote_id for one in await new.of_subject("s")] == ["new"]


async def _after(tasks: Collection[asyncio.Task[None]], then: Awaitable[None]) -> None:
    await asyncio.wait(tasks)
    await then


async def test_one_that_no_index_holds(clean_database: str) -> None:
    """An identity that is too long for an index fails alone, and does not look as if PostgreSQL were away."""
    async with open_pool(clean_database, size=1) as pool:
        links = LinkStore(pool)
        long = "".join(chr(33 + (7919 * n * n + n // 3) % 900) for n in range(9000))
        results = await asyncio.gather(
            links.save(link("a")), links.save(link("b", long)), links.save(link("c")), return_exceptions=True
        )
        assert [type(one) for one in results] == [type(None), asyncpg.ProgramLimitExceededError, type(None)]
        assert await links.of_subject("c") == [link("c")]
