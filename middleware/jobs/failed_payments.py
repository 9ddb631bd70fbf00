"""What is done by the clock with payments that failed: whether their invoices are settled otherwise, or owed again."""

from collections.abc import Callable

import structlog

from handlers.errors import RemoteError
from handlers.payments.paid_elsewhere import heal_all
from handlers.payments.reopened import reopen_some
from handlers.ports.context import Context
from middleware.jobs.periodic import Job, every, unless_away
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

MINUTES = 15.0
NAME = "payments paid another way"
_SHOWN = 20


def payment_jobs(context: Callable[[], Context], traffic: Traffic) -> list[Job]:
    """Nothing where payments are not taken; `context` gives what is valid at that time."""
    if context().payments is None:
        return []
    act = unless_away(traffic, ("invoiceninja",), NAME, lambda: heal_job(context()))
    return [Job(NAME, every(MINUTES), act)]


async def heal_job(context: Context) -> str:
    """A round that nobody waits for: says in one line how it went."""
    try:
        # What is owed again counts as failed in the same round; the other way round it would be read twice.
        again = await reopen_some(context)
        missed = await heal_all(context)
    except RemoteError as error:
        log.warning("payments.heal_failed", error=str(error), hint="tried again at the next tick")
        return str(error)
    if again.reopened or missed.healed or again.problems or missed.problems:
        log.info(
            "payments.healed",
            healed=list(missed.healed[:_SHOWN]),
            owed_again=list(again.reopened[:_SHOWN]),
            problems=[*again.problems, *missed.problems][:_SHOWN],
        )
    return (
        f"{missed.looked_at} failed before, {len(missed.healed)} paid another way; of {again.looked_at} paid so before,"
        f" {len(again.reopened)} owed again; {len(again.problems) + len(missed.problems)} problems"
    )
