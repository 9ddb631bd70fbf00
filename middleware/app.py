"""Web composition root: settings in, Starlette application out."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from middleware.dashboard.mount import open_dashboard
from middleware.intake.ingest import Ingest
from middleware.intake.receiver import Receiver
from middleware.intake.rejections import RejectionRecorder
from middleware.metrics import REJECTED
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.settings import Settings
from middleware.sources.table import SOURCES
from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from middleware.web.health import Health
from middleware.web.server import serve_beside
from middleware.web.surface import Surface

RECEIVER_CONNECTIONS = 4


async def source_is_off(request: Request) -> Response:
    """Tell a sender of a source that is not enabled what to set, and a person with a browser that this is no page."""
    source = request.path_params["source"]
    if request.method != "POST" and source in SOURCES:
        words = f"POST only: this is the right address for webhooks of {SOURCES[source].title}.\n"
        return PlainTextResponse(words, 405, headers={"Allow": "POST"})
    if source in SOURCES:
        message = f"webhooks of {source} are not enabled: set {SOURCES[source].setting}"
    else:
        message = f"there is no source {source!r}; known are {', '.join(SOURCES)}"
        source = "unknown"
    REJECTED.labels(source, "unknown_source").inc()
    sender = request.client.host if request.client else ""
    request.app.state.notes.refused(source, "unknown_source", message, address=sender, headers=dict(request.headers))
    return JSONResponse({"status": "rejected", "reason": "unknown_source", "message": message}, status_code=404)


def create_app(settings: Settings) -> Starlette:
    """The receiver: webhooks, health, metrics, and the dashboard. `settings` name the database and Redis."""
    return Starlette(lifespan=lambda app: _lifespan(app, settings), middleware=[Middleware(Surface)])


@asynccontextmanager
async def _lifespan(app: Starlette, settings: Settings) -> AsyncIterator[None]:
    async with open_pool(settings.database_url.get_secret_value(), size=RECEIVER_CONNECTIONS) as pool:
        queue = open_queue(settings.redis_url.get_secret_value())
        wakeups = Wakeups(queue)
        await wakeups.start()
        ingest, health, notes = Ingest(EventStore(pool), wakeups.notify), Health(pool, queue), RejectionRecorder(pool)
        await notes.start()
        app.state.ingest = ingest
        app.state.notes = notes
        try:
            async with open_dashboard(settings, wakeups.notify, health.checks) as dashboard:
                app.router.routes.extend(
                    [
                        *_webhooks(settings, ingest, notes),
                        Route("/webhooks/{source}", source_is_off, methods=["POST", "GET"]),
                        Route("/webhooks/{source}/", source_is_off, methods=["POST", "GET"]),
                        *health.routes(is_public=True, has_metrics=settings.metrics_port is None),
                        Mount("/", dashboard),
                    ]
                )
                async with _metrics_beside(settings, health):
                    yield
        finally:
            await notes.stop()
            await wakeups.stop()


@asynccontextmanager
async def _metrics_beside(settings: Settings, health: Health) -> AsyncIterator[None]:
    """`/metrics` on a port of its own, where one is set."""
    if not settings.metrics_port:
        yield
        return
    app = Starlette(routes=health.routes())
    serving = asyncio.create_task(serve_beside(app, settings.host, settings.metrics_port, "METRICS_PORT"))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def _webhooks(settings: Settings, ingest: Ingest, notes: RejectionRecorder) -> Iterator[Route]:
    for source in settings.enabled_sources:
        receiver = Receiver(SOURCES[source], settings, ingest, notes)
        # With a slash at the end as well: senders do not follow the redirect of Starlette, and send once.
        for path in (f"/webhooks/{source}", f"/webhooks/{source}/"):
            yield Route(path, receiver, methods=["POST"])
