"""Begins second looks when their time has come: `handlers.second_look` says what for."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from middleware.store.database import Pool, StoreUnavailableError
from middleware.store.events.second_looks import SecondLooks

log = structlog.get_logger()

LONGEST_PAUSE = 10.0


async def run_second_looks(pool: Pool, minutes: float, wake: Callable[[], None]) -> None:
    """Look for those that waited `minutes`, until cancelled; `wake` is called when there are any."""
    looks, wait = SecondLooks(pool), timedelta(minutes=minutes)
    while True:
        try:
            if begun := await looks.begin(wait):
                log.info("second_looks.begun", event_ids=begun, reason="an answer of another system was lost")
                wake()
        except StoreUnavailableError as error:
            log.warning("store.unreachable", error=str(error), hint="second looks wait for PostgreSQL")
        await asyncio.sleep(min(LONGEST_PAUSE, wait.total_seconds() / 4))
