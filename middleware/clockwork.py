"""What this installation does by the clock: reconciling, reading the books and housekeeping, in the workers."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from handlers.context import Context
from middleware.book_keeping import book_periodics
from middleware.housekeeping import housekeeping_periodics
from middleware.ingest import Ingest
from middleware.outage import Outages
from middleware.payment_clock import payment_periodics
from middleware.periodic import run_periodics
from middleware.queue import Wakeups, open_queue
from middleware.reconcile.stripe_clock import stripe_periodics
from middleware.reconcile.taiga_clock import taiga_periodics
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events import EventStore


async def run_clockwork(settings: Settings, pool: Pool, context: Callable[[], Context], outages: Outages) -> None:
    """Do everything in its time, until cancelled; `context` is as it is at that time."""
    async with _door(settings, pool) as ingest:
        await run_periodics(
            pool,
            [
                *taiga_periodics(context, pool, ingest, outages, settings.reconcile_taiga_minutes),
                *stripe_periodics(context, pool, ingest, outages),
                *payment_periodics(context, outages),
                *book_periodics(context, pool),
                *housekeeping_periodics(settings, pool),
            ],
        )


@asynccontextmanager
async def _door(settings: Settings, pool: Pool) -> AsyncIterator[Ingest]:
    wakeups = Wakeups(open_queue(settings.redis_url.get_secret_value()))
    await wakeups.start()
    try:
        yield Ingest(EventStore(pool), wakeups)
    finally:
        await wakeups.stop()
