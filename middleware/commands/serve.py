"""`taiga-billing serve`: the receiver."""

import asyncio
import contextlib
import socket

import click
import structlog

from middleware.app import create_app
from middleware.commands.common import FailedError, run, servers_behind, settings_or_exit
from middleware.process import on_hangup, spare_what_stays, stop_on_signals
from middleware.settings import Settings
from middleware.store.database import migrate
from middleware.version import VERSION
from middleware.web.listen import inherited_listener, listen_on
from middleware.web.server import web_server

log = structlog.get_logger()


@click.command("serve")
def command() -> None:
    """Run the receiver of webhooks until SIGTERM or SIGINT."""
    with servers_behind(settings_or_exit()) as settings:
        run(serve(settings))


def listener_or_exit(settings: Settings) -> socket.socket:
    """The socket that was passed to this process, else one on HOST and PORT."""
    try:
        return inherited_listener() or listen_on(settings.host, settings.port)
    except OSError as error:
        raise FailedError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; stop the program that uses it, "
            "or set another HOST or PORT"
        ) from error


async def serve(settings: Settings) -> None:
    """Migrate, then receive until a signal comes; running requests are finished."""
    await migrate(settings.database_url.get_secret_value())
    listener = listener_or_exit(settings)
    server = web_server(
        create_app(settings),
        settings.host,
        settings.port,
        proxies=settings.forwarded_allow_ips,
        max_connections=settings.max_connections,
        body_seconds=settings.body_timeout,
    )
    stop = stop_on_signals()
    on_hangup(lambda: log.info("receiver.unchanged", hint="the workers read the mapping file, the receiver does not"))
    spare_what_stays()
    log.info(
        "receiver.started", version=VERSION, host=settings.host, port=settings.port, sources=settings.enabled_sources
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await stopped
    await serving
    listener.close()
    log.info("receiver.stopped")
