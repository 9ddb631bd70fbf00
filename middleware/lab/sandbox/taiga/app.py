"""The web application of the sandbox Taiga: `/api/v1` without trailing slashes."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from middleware.lab.sandbox.faults import Faults, FaultsMiddleware
from middleware.lab.sandbox.taiga import (
    routes_auth,
    routes_bulk,
    routes_columns,
    routes_history,
    routes_items,
    routes_projects,
    routes_values,
    routes_webhooks,
)
from middleware.lab.sandbox.taiga.http import Resource
from middleware.lab.sandbox.taiga.state import TaigaState

BASE = "/api/v1"

_NOT_FOUND = (
    '\n<!doctype html>\n<html lang="en">\n<head>\n  <title>Not Found</title>\n</head>\n<body>\n'
    "  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>\n</body>\n</html>\n"
)


def create_app(state: TaigaState | None = None, faults: Faults | None = None) -> Starlette:
    """Make the application; its data is `app.state.taiga`, its failure switches are `app.state.faults`."""
    state = state or TaigaState()
    faults = faults or Faults()
    # Starlette would redirect /tasks/1/ to /tasks/1; Taiga answers 404 (recorded).
    api = Router(_routes(state), redirect_slashes=False)
    app = Starlette(
        routes=[Mount(BASE, app=api)],
        middleware=[Middleware(FaultsMiddleware, faults=faults)],
        exception_handlers={404: _not_found},
    )
    app.router.redirect_slashes = False
    app.state.taiga = state
    app.state.faults = faults
    return app


def _routes(state: TaigaState) -> list[Route]:
    return [
        *routes_items.routes(state),
        *routes_values.routes(state),
        *routes_auth.routes(state),
        *routes_projects.routes(state),
        *routes_columns.routes(state),
        *routes_history.routes(state),
        *routes_webhooks.routes(state),
        *routes_bulk.routes(state),
        *(Route(f"/{path}/{{word}}", Resource(state, GET=routes_items.unknown_word)) for path in routes_items.PATHS),
    ]


async def _not_found(_: Request, __: Exception) -> Response:
    return Response(_NOT_FOUND, 404, headers={"Content-Type": "text/html"})
