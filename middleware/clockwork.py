"""What this installation does by the clock: reconciling, reading the books and housekeeping, in the workers."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from handlers.context import Context
from mappings.config import MappingFile
from middleware.book_keeping import book_periodics
from middleware.bootstrap import open_taiga
from middleware.housekeeping import housekeeping_periodics
from middleware.ingest import Ingest
from middleware.periodic import Periodic, every, nightly, run_periodics
from middleware.queue import Wakeups, open_queue
from middleware.reconcile.stripe_clock import stripe_periodics
from middleware.reconcile.taiga import Tools, reconcile_by_clock
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events import EventStore


async def run_clockwork(
    settings: Settings, mapping: Callable[[], MappingFile], pool: Pool, context: Callable[[], Context]
) -> None:
    """Do everything in its time, until cancelled; `mapping` and `context` are as they are at that time."""
    async with AsyncExitStack() as stack:
        ingest = await stack.enter_async_context(_door(settings, pool))
        periodics = await _reconciling(settings, mapping, pool, ingest, stack)
        await run_periodics(
            pool,
            [
                *periodics,
                *stripe_periodics(context, pool, ingest),
                *book_periodics(context, pool),
                *housekeeping_periodics(settings, pool),
            ],
        )


async def _reconciling(
    settings: Settings, mapping: Callable[[], MappingFile], pool: Pool, ingest: Ingest, stack: AsyncExitStack
) -> list[Periodic]:
    taiga = await stack.enter_async_context(open_taiga(settings))
    if taiga is None or not settings.reconcile_taiga_minutes:
        return []

    def tools() -> Tools:
        return Tools(taiga, mapping(), pool, ingest)

    return [
        Periodic(
            "reconcile taiga: recent",
            every(settings.reconcile_taiga_minutes),
            lambda: reconcile_by_clock(tools(), "recent"),
        ),
        Periodic("reconcile taiga: all", nightly(2, 20), lambda: reconcile_by_clock(tools(), "all")),
    ]


@asynccontextmanager
async def _door(settings: Settings, pool: Pool) -> AsyncIterator[Ingest]:
    wakeups = Wakeups(open_queue(settings.redis_url.get_secret_value()))
    await wakeups.start()
    try:
        yield Ingest(EventStore(pool), wakeups)
    finally:
        await wakeups.stop()
