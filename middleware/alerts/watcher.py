"""Looks into the store again and again, and tells people what changed; one worker at a time does it."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from middleware.alerts.conditions import Watched, read_conditions
from middleware.alerts.decide import changes, due
from middleware.alerts.messages import message_of
from middleware.alerts.models import Message
from middleware.alerts.sender import Sent, send
from middleware.metrics import ALERTS
from middleware.settings import Settings
from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError
from middleware.store.operations.alerts import AlertStore, Batch

log = structlog.get_logger()

LOOK_SECONDS = 30.0

Send = Callable[[Sequence[str], Message], Awaitable[list[Sent]]]


class Alerts:
    """One look at a time; everything it must remember is in PostgreSQL."""

    def __init__(self, settings: Settings, pool: Pool, mapping_problem: Callable[[], str], sender: Send = send) -> None:
        self._pool = pool
        self._store = AlertStore(pool)
        self._urls = [url.get_secret_value() for url in settings.alert_urls]
        self._public_url = settings.public_url
        self._window = timedelta(minutes=settings.alert_minutes)
        host = socket.gethostname()
        self._watched = Watched(settings.enabled_sources, settings.alert_silent_hours, host, mapping_problem)
        self._send = sender

    async def look(self, now: datetime) -> int:
        """Find what changed and tell it; returns the number of messages. 0 when another worker is at it.

        Raises:
            StoreUnavailableError: PostgreSQL is away.
        """
        async with self._store.only_sender() as is_ours:
            if not is_ours:
                return 0
            found = changes(await self._store.known(), await read_conditions(self._pool, self._watched, now), now)
            await self._store.write(found.written, found.forgotten)
            batches = due(await self._store.known(), await self._store.states(), self._window, now)
            for batch in batches:
                await self._tell(batch, now)
            return len(batches)

    async def _tell(self, batch: Batch, now: datetime) -> None:
        message = message_of(batch, self._public_url)
        results = await self._send(self._urls, message)
        failed = [f"{result.name}: {result.said or 'not taken'}" for result in results if not result.is_ok]
        is_told = len(failed) < len(results)
        ALERTS.labels(batch.kind, "sent" if is_told else "failed").inc()
        if failed:
            log.error(
                "alert.failed", kind=batch.kind, addresses=failed, hint="taiga-billing alerts test tries ALERT_URLS"
            )
        # One address that took it is enough: the others would get everything twice if it were sent again.
        if is_told:
            log.info("alert.sent", kind=batch.kind, title=message.title)
            await self._store.told(batch, message.title, now)
        else:
            await self._store.failed(batch, "; ".join(failed), now)


async def run_alerts(settings: Settings, pool: Pool, mapping_problem: Callable[[], str]) -> None:
    """Look again and again until cancelled; without `ALERT_URLS` there is nobody to tell."""
    if not settings.alert_urls:
        return
    alerts = Alerts(settings, pool, mapping_problem)
    while True:
        try:
            await alerts.look(datetime.now(UTC))
        except (StoreUnavailableError, *STORE_ERRORS) as error:
            log.warning("store.unreachable", error=str(error), hint="alerts wait for PostgreSQL")
        except Exception:
            log.exception("alerts.failed", hint="the next look is in half a minute")
        await asyncio.sleep(LOOK_SECONDS)
