"""The balance of hours, each night after Taiga was reconciled: asks people about what waits, and keeps the result."""

from collections.abc import Callable

import structlog

from handlers.errors import RemoteError
from handlers.invoices.balance import ask_people, hour_balance
from handlers.ports.context import Context
from mappings.invoices.balance_json import balance_as_json, balance_in_words
from middleware.jobs.periodic import Job, nightly, unless_away
from middleware.store.billing.balances import BalanceRow, BalanceStore
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

NAME = "balance of hours"
MISMATCHES_LOGGED = 20


def balance_jobs(context: Callable[[], Context], pool: Pool, traffic: Traffic) -> list[Job]:
    """Nothing where no invoices are made; `context` gives what is valid at that time."""
    if context().invoicing is None:
        return []

    async def add_up() -> str:
        return await balance_run(context(), BalanceStore(pool))

    return [Job(NAME, nightly(3, 20), unless_away(traffic, ["invoiceninja"], NAME, add_up))]


async def balance_run(context: Context, store: BalanceStore) -> str:
    """Add up, ask people, keep the result; returns how it stands, in words."""
    world = context.invoicing
    if world is None:
        return "Invoice Ninja is not configured"
    try:
        found = await hour_balance(world, context)
        await ask_people(found, world, context)
    except RemoteError as error:
        log.warning("balance.failed", kind="hours", error=str(error), hint="tried again the next night")
        return f"not made: {error}"
    words = balance_in_words(found)
    if found.mismatches:
        subjects = [one.subject for one in found.mismatches[:MISMATCHES_LOGGED]]
        log.error("balance.differs", kind="hours", difference=str(found.difference), subjects=subjects)
    await store.save(BalanceRow("hours", context.clock(), found.difference, words, balance_as_json(found)))
    return words
