"""Run any ASGI application on 127.0.0.1 inside the running event loop: used by tests, the demo and chaos runs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from middleware.lab.sandbox.faults import CUT_EXTENSION

_START_POLL = 0.005
"""Seconds between two looks at whether the server has started."""

_SHUTDOWN_LIMIT = 1
"""Seconds that requests still running at the end get before they are cancelled."""


class _QuietServer(uvicorn.Server):
    """A server that leaves the signals of the process alone: they belong to whoever owns the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve `app` and yield its base URL, e.g. `http://127.0.0.1:43211`; stop it at the end of the block.

    Args:
        app: the application.
        port: TCP port on 127.0.0.1; 0 takes a free one.

    Raises:
        OSError: the port is taken.
        RuntimeError: the application did not start (its lifespan failed).
    """
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        server = _server(app)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await _started(server, running)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running
    finally:
        listener.close()


def _server(app: ASGIApp) -> uvicorn.Server:
    offered = _CutOffered(app)
    config = uvicorn.Config(
        offered,
        log_config=None,
        access_log=False,
        http="httptools",
        ws="none",
        timeout_graceful_shutdown=_SHUTDOWN_LIMIT,
        server_header=False,
    )
    offered.server = _QuietServer(config)
    return offered.server


class _CutOffered:
    """Offers the application a way to close the socket of a request, which ASGI itself does not have."""

    server: uvicorn.Server

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with the cut among the extensions of an HTTP scope."""
        if scope["type"] == "http":
            scope.setdefault("extensions", {})[CUT_EXTENSION] = self._cut(scope["client"])
        await self.app(scope, receive, send)

    def _cut(self, client: Any) -> Callable[[], None]:
        def cut() -> None:
            for connection in self.server.server_state.connections:
                if getattr(connection, "client", None) == tuple(client):
                    connection.transport.abort()

        return cut


async def _started(server: uvicorn.Server, running: "asyncio.Task[None]") -> None:
    while not server.started:
        if running.done():
            await running
            raise RuntimeError("the sandbox server did not start: its application refused the lifespan")
        await asyncio.sleep(_START_POLL)
