"""What is done by the clock with Stripe: the daily reconciliation, and the round over the open payment links."""

from collections.abc import Callable

import structlog

from handlers.errors import RemoteError
from handlers.payment_links.upkeep import tend_all
from handlers.ports.context import Context
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe
from middleware.intake.ingest import Ingest
from middleware.jobs.periodic import Periodic, every, nightly
from middleware.reconcile.runs import unless_away
from middleware.reconcile.stripe import Tools, reconcile_by_clock
from middleware.store.database import Pool
from middleware.traffic.traffic import Outages

log = structlog.get_logger()

LINK_MINUTES = 15.0
DAILY, LINKS = "reconcile stripe", "payment links"
BOTH = ("stripe", "invoiceninja")


def stripe_periodics(context: Callable[[], Context], pool: Pool, ingest: Ingest, outages: Outages) -> list[Periodic]:
    """Nothing without a key of Stripe; `context` gives what is valid at that time."""
    world = context().payments
    if world is None or not isinstance(world.stripe, Stripe) or not isinstance(world.books, InvoiceNinja):
        return []
    tools = Tools(world.stripe, world.books, pool, ingest)
    return [
        Periodic(DAILY, nightly(2, 50), unless_away(outages, BOTH, DAILY, lambda: reconcile_by_clock(tools))),
        Periodic(LINKS, every(LINK_MINUTES), unless_away(outages, BOTH, LINKS, lambda: tend_by_clock(context()))),
    ]


async def tend_by_clock(context: Context) -> str:
    """A round that nobody waits for: says in one line how it went."""
    try:
        upkeep = await tend_all(context)
    except RemoteError as error:
        log.warning("payment_links.failed", error=str(error), hint="tried again at the next tick")
        return str(error)
    if upkeep.changed or upkeep.problems:
        log.info("payment_links.tended", changed=list(upkeep.changed[:20]), problems=list(upkeep.problems[:20]))
    return f"{upkeep.looked_at} open, {len(upkeep.changed)} changed, {len(upkeep.problems)} failed"
