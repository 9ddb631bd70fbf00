"""Begins rechecks when their time has come: `handlers.recheck` says what for."""

import asyncio
from datetime import timedelta

import structlog

from handlers.ports.events import EventSink
from middleware.store.database import Pool, StoreUnavailableError
from middleware.store.events.rechecks import RecheckStore

log = structlog.get_logger()

LONGEST_PAUSE = 10.0


async def run_rechecks(pool: Pool, minutes: float, sink: EventSink) -> None:
    """Look for those that waited `minutes`, until cancelled."""
    looks, wait = RecheckStore(pool), timedelta(minutes=minutes)
    while True:
        try:
            if begun := await looks.begin(wait, sink):
                log.info("second_looks.begun", event_ids=begun, reason="an answer of another system was lost")
        except StoreUnavailableError as error:
            log.warning("store.unreachable", error=str(error), hint="rechecks wait for PostgreSQL")
        await asyncio.sleep(min(LONGEST_PAUSE, wait.total_seconds() / 4))
