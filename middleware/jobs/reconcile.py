"""Jobs with Taiga and Stripe: reconciling, and the round over the open payment links."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import structlog

from handlers.errors import RemoteError
from handlers.payment_links.upkeep import tend_all
from handlers.ports.context import Context
from handlers.ports.events import EventSink
from handlers.reconcile.taiga_models import Scope
from middleware.clients.connect import Systems
from middleware.clients.taiga import Taiga
from middleware.jobs.periodic import AGAIN_IN, Job, NotNowError, every, nightly, unless_away
from middleware.reconcile import stripe as stripe_runs
from middleware.reconcile import taiga as taiga_runs
from middleware.reconcile.runs import AlreadyRunningError, RunReport
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

LINK_MINUTES = 15.0
DAILY, LINKS = "reconcile stripe", "payment links"
RECENT, ALL = "reconcile taiga: recent", "reconcile taiga: all"
BOTH = ("stripe", "invoiceninja")
PROBLEMS_LOGGED = 5


def taiga_jobs(
    taiga: Taiga | None,
    context: Callable[[], Context],
    pool: Pool,
    sink: EventSink,
    traffic: Traffic,
    *,
    minutes: float,
) -> list[Job]:
    """Nothing without credentials for Taiga, nor for 0 minutes; `context` gives what is valid at that time."""
    if not minutes or taiga is None:
        return []

    async def look(name: taiga_runs.ScopeName) -> str:
        return await taiga_run(taiga_runs.TaigaTools(taiga, context().mapping, pool, sink), name)

    return [
        Job(RECENT, every(minutes), unless_away(traffic, ["taiga"], RECENT, lambda: look("recent"))),
        Job(ALL, nightly(2, 20), unless_away(traffic, ["taiga"], ALL, lambda: look("all"))),
    ]


def stripe_jobs(
    systems: Systems, context: Callable[[], Context], pool: Pool, sink: EventSink, traffic: Traffic
) -> list[Job]:
    """Nothing without a key of Stripe; `context` gives what is valid at that time."""
    if systems.stripe is None:
        return []
    tools = stripe_runs.StripeTools(systems.stripe, systems.ninja, pool, sink)
    return [
        Job(DAILY, nightly(2, 50), unless_away(traffic, BOTH, DAILY, lambda: stripe_run(tools))),
        Job(LINKS, every(LINK_MINUTES), unless_away(traffic, BOTH, LINKS, lambda: tend_job(context()))),
    ]


async def tend_job(context: Context) -> str:
    """A round that nobody waits for: says in one line how it went."""
    try:
        upkeep = await tend_all(context)
    except RemoteError as error:
        log.warning("payment_links.failed", error=str(error), hint="tried again at the next tick")
        return str(error)
    if upkeep.changed or upkeep.problems:
        log.info("payment_links.tended", changed=list(upkeep.changed[:20]), problems=list(upkeep.problems[:20]))
    return f"{upkeep.looked_at} open, {len(upkeep.changed)} changed, {len(upkeep.problems)} failed"


async def taiga_run(tools: taiga_runs.TaigaTools, name: taiga_runs.ScopeName) -> str:
    """The frequent or the nightly run; see `as_job`."""
    now = datetime.now(UTC)
    scope = await taiga_runs.recent_scope(tools.pool, now) if name == "recent" else Scope(rolling=500)
    # At a slow pace there is always a frequent run under way: the nightly one would never find a moment without.
    return await as_job(taiga_runs.SOURCE, name, lambda: taiga_runs.reconcile(tools, scope, name, waits=name == "all"))


async def stripe_run(tools: stripe_runs.StripeTools) -> str:
    """The daily run; see `as_job`."""
    scope = await stripe_runs.daily_scope(tools.pool, tools.clock())
    return await as_job(stripe_runs.SOURCE, "daily", lambda: stripe_runs.reconcile(tools, scope, "daily"))


async def as_job(source: str, scope: str, look: Callable[[], Awaitable[RunReport]]) -> str:
    """A run that nobody waits for: says in one line how it went.

    Raises:
        NotNowError: a system cannot be read at present, or another run is under way.
    """
    try:
        report = await look()
    except AlreadyRunningError as error:
        raise NotNowError(str(error), AGAIN_IN) from error
    except RemoteError as error:
        log.warning("reconcile.failed", source=source, scope=scope, error=str(error), again_in_s=AGAIN_IN.seconds)
        raise NotNowError(str(error), AGAIN_IN) from error
    log.info(
        "reconcile.done",
        source=source,
        scope=scope,
        looked_at=report.looked_at,
        items_read=report.items_read,
        differed=len(report.differences),
        postponed=report.postponed,
        problems=list(report.problems[:PROBLEMS_LOGGED]),
    )
    return f"{report.looked_at} looked at, {len(report.differences)} enqueued"
