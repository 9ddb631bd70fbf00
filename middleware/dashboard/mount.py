"""The door of the dashboard in the receiver: what pages need is imported when somebody asks for the first one."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.dashboard.services import Checks, Services, Wake
from middleware.intake.ingest import Ingest
from middleware.settings import Settings
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.events.events import EventStore
from middleware.store.events.statistics import Statistics

log = structlog.get_logger()

CONNECTIONS = 3
SECONDS_BETWEEN_SUMS = 60


class LazyDashboard:
    """An ASGI application that costs nothing until it is used."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._site: ASGIApp | None = None
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if self._site is None:
            async with self._turn:
                if self._site is None:
                    # In a thread: webhooks go on while modules and templates are read.
                    self._site = await asyncio.to_thread(self._load)
        await self._site(scope, receive, send)

    def _load(self) -> ASGIApp:
        site = importlib.import_module("middleware.dashboard.site")
        app: ASGIApp = site.create_site(self._services)
        return app


@asynccontextmanager
async def open_dashboard(settings: Settings, wake: Wake, checks: Checks) -> AsyncIterator[ASGIApp]:
    """The dashboard for as long as the block is open; meanwhile the events of each day are added up."""
    async with open_pool(settings.database_url.get_secret_value(), size=CONNECTIONS) as pool:
        adding = asyncio.create_task(_add_up_for_ever(Statistics(pool)), name="statistics")
        try:
            sink = Ingest(EventStore(pool), wake)
            yield LazyDashboard(Services(settings, pool, sink, wake, checks, lambda: datetime.now(UTC)))
        finally:
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)


async def _add_up_for_ever(statistics: Statistics) -> None:
    while True:
        try:
            await statistics.add_up()
        except StoreUnavailableError as error:
            log.debug("store.unreachable", error=str(error))
        except Exception:
            # Charts grow old; webhooks and pages go on.
            log.exception("statistics.failed")
        await asyncio.sleep(SECONDS_BETWEEN_SUMS)
