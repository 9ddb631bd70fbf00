"""What this installation does by the clock: reconciling, reading the books and housekeeping, in the workers."""

from collections.abc import Callable

from handlers.ports.context import Context
from middleware.intake.ingest import open_ingest
from middleware.jobs.failed_payments import payment_periodics
from middleware.jobs.housekeeping import housekeeping_periodics
from middleware.jobs.mirror import book_periodics
from middleware.jobs.periodic import run_periodics
from middleware.jobs.reconcile import stripe_periodics
from middleware.jobs.taiga_clock import taiga_periodics
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Outages


async def run_clockwork(settings: Settings, pool: Pool, context: Callable[[], Context], outages: Outages) -> None:
    """Do everything in its time, until cancelled; `context` is as it is at that time."""
    async with open_ingest(settings, pool) as ingest:
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
