"""What is done by the clock with Taiga: recent changes every few minutes, and everything each night."""

from collections.abc import Callable

from handlers.ports.context import Context
from middleware.clients.taiga import Taiga
from middleware.intake.ingest import Ingest
from middleware.jobs.periodic import Periodic, every, nightly
from middleware.reconcile.runs import unless_away
from middleware.reconcile.taiga import ScopeName, Tools, reconcile_by_clock
from middleware.store.database import Pool
from middleware.traffic.traffic import Outages

RECENT, ALL = "reconcile taiga: recent", "reconcile taiga: all"


def taiga_periodics(
    context: Callable[[], Context], pool: Pool, ingest: Ingest, outages: Outages, minutes: float
) -> list[Periodic]:
    """Nothing without credentials for Taiga, nor for 0 minutes; `context` gives what is valid at that time."""
    # The client of the workers: its requests count with theirs, and stop with theirs.
    taiga = context().taiga
    if not minutes or not isinstance(taiga, Taiga):
        return []

    async def look(name: ScopeName) -> str:
        return await reconcile_by_clock(Tools(taiga, context().mapping, pool, ingest), name)

    return [
        Periodic(RECENT, every(minutes), unless_away(outages, ["taiga"], RECENT, lambda: look("recent"))),
        Periodic(ALL, nightly(2, 20), unless_away(outages, ["taiga"], ALL, lambda: look("all"))),
    ]
