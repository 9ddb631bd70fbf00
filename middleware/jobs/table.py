"""The one table of jobs: what the workers of this installation do on a schedule."""

from collections.abc import Callable

from handlers.ports.context import Context
from middleware.clients.connect import Systems
from middleware.intake.ingest import open_ingest
from middleware.jobs.balance import balance_jobs
from middleware.jobs.failed_payments import payment_jobs
from middleware.jobs.housekeeping import housekeeping_jobs
from middleware.jobs.invoice_runs import invoice_jobs
from middleware.jobs.mirror import mirror_jobs
from middleware.jobs.money import money_jobs
from middleware.jobs.periodic import run_jobs
from middleware.jobs.reconcile import stripe_jobs, taiga_jobs
from middleware.jobs.references import reference_jobs
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic


async def run_all_jobs(
    settings: Settings, systems: Systems, pool: Pool, context: Callable[[], Context], traffic: Traffic
) -> None:
    """Run each job when it is due, until cancelled; `context` gives what is valid at that time.

    `systems` are the clients of the worker: the requests of jobs count with its own, and stop with them.
    """
    async with open_ingest(settings, pool) as ingest:
        await run_jobs(
            pool,
            [
                *taiga_jobs(systems.taiga, context, pool, ingest, traffic, minutes=settings.reconcile_taiga_minutes),
                *stripe_jobs(systems, context, pool, ingest, traffic),
                *payment_jobs(context, traffic),
                *invoice_jobs(context, pool),
                *mirror_jobs(systems.ninja, context, pool),
                *balance_jobs(context, pool, traffic),
                *reference_jobs(systems, context, traffic),
                *money_jobs(systems, pool, traffic),
                *housekeeping_jobs(settings, pool),
            ],
        )
