"""How every HTTP server of this program runs: uvicorn with bounded headers and quick shutdown."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

MAX_HEADER_BYTES = 32 * 1024
KEEP_ALIVE_SECONDS = 30


class QuietServer(uvicorn.Server):
    """A server that leaves the signals of the process alone: they belong to whoever owns the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers as they are."""
        yield


def web_server(app: ASGIApp, host: str, port: int, *, grace: float = 5) -> QuietServer:
    """A server for `app`; `grace` in seconds is what running requests get at the end."""
    return QuietServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=int(grace) or 1,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
    )


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; before the server runs, because uvicorn ends the whole process when it cannot.

    Raises:
        OSError: the address is taken, or is none of this machine.
    """
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
