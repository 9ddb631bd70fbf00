"""What is done by the clock with payments that failed: whether their invoices were settled otherwise."""

from collections.abc import Callable

import structlog

from handlers.context import Context
from handlers.errors import RemoteError
from handlers.payment_elsewhere import heal_all
from middleware.outage import Outages
from middleware.periodic import Periodic, every
from middleware.reconcile.runs import unless_away

log = structlog.get_logger()

MINUTES = 15.0
NAME = "payments settled otherwise"
_SHOWN = 20


def payment_periodics(context: Callable[[], Context], outages: Outages) -> list[Periodic]:
    """Nothing where payments are not taken; `context` gives what is valid at that time."""
    if context().payments is None:
        return []
    act = unless_away(outages, ("invoiceninja",), NAME, lambda: heal_by_clock(context()))
    return [Periodic(NAME, every(MINUTES), act)]


async def heal_by_clock(context: Context) -> str:
    """A round that nobody waits for: says in one line how it went."""
    try:
        round_ = await heal_all(context)
    except RemoteError as error:
        log.warning("payments.heal_failed", error=str(error), hint="tried again at the next tick")
        return str(error)
    if round_.healed or round_.problems:
        log.info("payments.healed", healed=list(round_.healed[:_SHOWN]), problems=list(round_.problems[:_SHOWN]))
    return f"{round_.looked_at} failed before, {len(round_.healed)} settled otherwise, {len(round_.problems)} problems"
