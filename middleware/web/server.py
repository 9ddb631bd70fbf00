"""How every HTTP server of this program runs: uvicorn with guarded connections and a shutdown that cuts nobody off."""

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from middleware.web.connection import BODY_SECONDS, FewLines, guarded
from middleware.web.drain import drop_new_connections

KEEP_ALIVE_SECONDS = 30
# Connections that are being made are accepted within this time.
LAST_CALL_SECONDS = 0.1
MAX_CONNECTIONS = 400


class QuietServer(uvicorn.Server):
    """A server that leaves the signals of the process alone: they belong to whoever owns the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in, serve those who came in before, then close."""
        listeners = [listener for server in self.servers for listener in server.sockets]
        are_quiet = [drop_new_connections(listener.fileno()) for listener in listeners]
        if any(are_quiet):
            await asyncio.sleep(LAST_CALL_SECONDS)
        await super().shutdown(sockets)


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
        max_connections: requests on more connections than these are answered 503.
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
            http=guarded(body_seconds),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace) or 1,
            forwarded_allow_ips=proxies,
            limit_concurrency=max_connections,
        )
    )


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; before the server runs, because uvicorn ends the whole process when it cannot.

    Raises:
        OSError: the address is taken, or is none of this machine.
    """
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
