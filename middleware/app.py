"""Web composition root: settings in, Starlette application out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
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

RECEIVER_CONNECTIONS = 4


async def source_is_off(request: Request) -> Response:
    """Tell a sender of a source that is not enabled what to set."""
    source = request.path_params["source"]
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
    return Starlette(lifespan=lambda app: _lifespan(app, settings))


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
                        Route("/webhooks/{source}", source_is_off, methods=["POST"]),
                        *health.routes(),
                        Mount("/", dashboard),
                    ]
                )
                yield
        finally:
            await notes.stop()
            await wakeups.stop()


def _webhooks(settings: Settings, ingest: Ingest, notes: RejectionRecorder) -> Iterator[Route]:
    for source in settings.enabled_sources:
        receiver = Receiver(SOURCES[source], settings, ingest, notes)
        # With a slash at the end as well: senders do not follow the redirect of Starlette, and send once.
        for path in (f"/webhooks/{source}", f"/webhooks/{source}/"):
            yield Route(path, receiver, methods=["POST"])
