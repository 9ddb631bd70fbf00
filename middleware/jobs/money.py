"""The balance of money, each night after the hours were balanced."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from handlers.errors import RemoteError
from handlers.ports.context import Context
from middleware.clients.invoiceninja import InvoiceNinja
from middleware.clients.stripe.client import Stripe
from middleware.jobs.periodic import AGAIN_IN, Job, NotNowError, nightly, unless_away
from middleware.reconcile.balance import BalanceTools, count_money
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

NAME = "balance of money"
DIFFERING_LOGGED = 20


def money_jobs(context: Callable[[], Context], pool: Pool, traffic: Traffic) -> list[Job]:
    """Nothing where payments are not taken."""
    world = context().payments
    if world is None or not isinstance(world.books, InvoiceNinja):
        return []
    stripe = world.stripe if isinstance(world.stripe, Stripe) else None
    asked = ("stripe", "invoiceninja") if stripe is not None else ("invoiceninja",)
    tools = BalanceTools(world.books, pool, stripe)
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
