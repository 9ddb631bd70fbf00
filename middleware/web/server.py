"""How every HTTP server of this program runs: uvicorn with guarded connections and a shutdown that cuts nobody off."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from middleware.web.connection import BODY_SECONDS, FewLines, guarded
from middleware.web.listen import listen_on

log = structlog.get_logger()

KEEP_ALIVE_SECONDS = 30
MAX_CONNECTIONS = 400


class QuietServer(uvicorn.Server):
    """A server that leaves the signals of the process alone: they belong to the owner of the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are."""
        yield


async def serve_beside(app: ASGIApp, host: str, port: int, setting: str) -> None:
    """Serve something small on a port of its own until cancelled; a port that is taken is only logged."""
    try:
        listener = listen_on(host, port)
    except OSError as error:
        # A second process on this machine, most likely: it works all the same.
        log.warning("health.unavailable", port=port, error=str(error), hint=f"set another {setting}")
        return
    server = web_server(app, host, port)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        await serving
        listener.close()


def web_server(
    app: ASGIApp,
    host: str,
    port: int,
    *,
    grace: float = 5,
    proxies: str = "127.0.0.1",
    max_connections: int = MAX_CONNECTIONS,
    body_seconds: float = BODY_SECONDS,
) -> QuietServer:
    """A server for `app`.

    Args:
        app: the application.
        host: address to listen on.
        port: port to listen on.
        grace: seconds that running requests get at the end.
        proxies: addresses whose `X-Forwarded-For` is believed, separated by commas.
        max_connections: beyond these, the connection that has waited the longest is closed for each new one.
        body_seconds: how long a sender may take for a body.
    """
    logger = logging.getLogger("uvicorn.error")
    if not any(isinstance(one, FewLines) for one in logger.filters):
        logger.addFilter(FewLines())
    return QuietServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=guarded(body_seconds, max_connections, proxies),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace) or 1,
            forwarded_allow_ips=proxies,
        )
    )
