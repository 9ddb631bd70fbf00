"""Names in mappings.json that mean nothing: one review asks for them, and closes when all mean something."""

from collections.abc import Callable

import structlog

from handlers.errors import RemoteError
from handlers.ports.context import Context
from middleware.clients.connect import Systems
from middleware.jobs.periodic import AGAIN_IN, Job, NotNowError, nightly, unless_away
from middleware.mapping.references import LOOK_UP, look_up
from middleware.traffic.traffic import Traffic

log = structlog.get_logger()

SUBJECT, KIND = "mappings.json", "mapping_reference"
MOST_SHOWN = 5


def reference_jobs(systems: Systems, context: Callable[[], Context], traffic: Traffic) -> list[Job]:
    """The nightly look, also due when a worker loads the file; `context` gives what is valid at that time."""
    asked = ("invoiceninja",) if systems.taiga is None else ("invoiceninja", "taiga")
    act = unless_away(traffic, asked, LOOK_UP, lambda: reference_run(systems, context()))
    return [Job(LOOK_UP, nightly(3, 40), act, begins_soon=True)]


async def reference_run(systems: Systems, context: Context) -> str:
    """Look, and open or close the review; returns how it went, in words.

    Raises:
        NotNowError: a system cannot be read at present; the review stays as it is.
    """
    try:
        looked = await look_up(context.mapping, systems)
    except RemoteError as error:
        log.warning("mapping.not_looked_up", error=str(error), again_in_s=AGAIN_IN.seconds)
        raise NotNowError(str(error), AGAIN_IN) from error
    problems = [str(problem) for problem in looked.problems]
    if problems:
        more = [f"and {len(problems) - MOST_SHOWN} more"] if len(problems) > MOST_SHOWN else []
        shown = [*problems[:MOST_SHOWN], *more]
        log.error("mapping.unresolved", problems=shown)
        await context.reviews.open(SUBJECT, KIND, f"mappings.json: {'; '.join(shown)}", {"problems": problems})
        return f"{len(problems)} names mean nothing: see the open reviews"
    if looked.unread and systems.taiga is not None:
        return f"not everything was looked at: {'; '.join(looked.unread)}"
    await context.reviews.close(SUBJECT, KIND, "every name means something")
    return "every name means something"
