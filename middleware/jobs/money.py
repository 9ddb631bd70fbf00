"""The balance of money, each night after the hours were balanced."""

from datetime import UTC, datetime

import structlog

from handlers.errors import RemoteError
from middleware.clients.connect import Systems
from middleware.jobs.periodic import AGAIN_IN, Job, NotNowError, nightly, unless_away
from middleware.reconcile.balance import BalanceTools, count_money
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

NAME = "balance of money"
DIFFERING_LOGGED = 20


def money_jobs(systems: Systems, pool: Pool, traffic: Traffic) -> list[Job]:
    """The nightly count; without a key of Stripe it asks Invoice Ninja only."""
    asked = ("invoiceninja",) if systems.stripe is None else ("stripe", "invoiceninja")
    tools = BalanceTools(systems.ninja, pool, systems.stripe)
    return [Job(NAME, nightly(3, 50), unless_away(traffic, asked, NAME, lambda: money_run(tools)))]


async def money_run(tools: BalanceTools) -> str:
    """Count, keep the result; returns how it stands, in words.

    Raises:
        NotNowError: a system cannot be read at present.
    """
    try:
        report = await count_money(tools, datetime.now(UTC))
    except RemoteError as error:
        log.warning("balance.failed", kind="money", error=str(error), again_in_s=AGAIN_IN.seconds)
        raise NotNowError(str(error), AGAIN_IN) from error
    if report.differing:
        payments = [one.identity for one in report.differing[:DIFFERING_LOGGED]]
        log.error("balance.differs", kind="money", differing=len(report.differing), payments=payments)
    return report.sentence
