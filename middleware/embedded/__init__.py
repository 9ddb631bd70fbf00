"""Private PostgreSQL and Redis for people who have neither.

Used when `DATABASE_URL` or `REDIS_URL` is not set: both servers keep their files below `DATA_DIR`, listen on Unix
sockets only, and end with the process that started them. This package knows processes and files; it never speaks SQL.

Who owns a server: the process that holds the lock on its `owner.lock`. The kernel frees that lock when the owner dies
in whatever way, so there is no stale state to repair by hand. Another process on the same `DATA_DIR` (say `events list`
while `up` runs) finds the lock taken, uses the running server and leaves it running.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from middleware.embedded.errors import EmbeddedServerError
from middleware.embedded.postgres import PostgresServer
from middleware.embedded.redis import RedisServer
from middleware.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServerError", "Endpoints", "PostgresServer", "RedisServer", "embedded_servers"]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the embedded servers listen; None for the one that was not asked for."""

    database_url: str | None
    redis_url: str | None
    revive: Callable[[], list[str]]
    """Starts those again that have ended, and says what they said last; call it from the main thread, too."""


@contextmanager
def embedded_servers(data_dir: Path, *, postgres: bool, redis: bool, durable: bool = True) -> Iterator[Endpoints]:
    """Run the wanted servers below `data_dir` for as long as the context is open.

    Call it from the main thread: a server gets the signal to end when the thread that started it is gone.

    Args:
        data_dir: Folder of all their files; made when missing, kept afterwards.
        postgres: Whether PostgreSQL is wanted.
        redis: Whether Redis is wanted.
        durable: False lets PostgreSQL skip fsync, for throw-away databases of tests.

    Raises:
        EmbeddedServerError: A server is not installed or does not start; the message says what to do.
    """
    with ExitStack() as running:
        database_url = redis_url = None
        servers: list[EmbeddedServer] = []
        if postgres:
            servers.append(running.enter_context(PostgresServer(data_dir, durable=durable)))
            database_url = servers[-1].url
        if redis:
            servers.append(running.enter_context(RedisServer(data_dir)))
            redis_url = servers[-1].url
        yield Endpoints(database_url, redis_url, lambda: [said for one in servers if (said := one.revive())])
