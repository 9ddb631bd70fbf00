"""The embedded Redis (or Valkey): append-only file, Unix socket, no TCP port."""

import shutil
import signal
import socket
from pathlib import Path
from typing import ClassVar

from middleware.embedded.binaries import redis_program
from middleware.embedded.errors import EmbeddedServerError
from middleware.embedded.privileges import owner_of, server_wrapper
from middleware.embedded.server import EmbeddedServer

_SOCKET = "redis.sock"
_REPLY_SECONDS = 10.0


class RedisServer(EmbeddedServer):
    """Redis with its data in `DATA_DIR/redis/data`, on a Unix socket that only this user may open."""

    name: ClassVar[str] = "redis"
    title: ClassVar[str] = "Redis"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def prepare(self, sockets: Path) -> None:
        """Make the data folder, and let its owner use the folder of the socket."""
        self.data.mkdir(mode=0o700, exist_ok=True)
        owner_of(self.data).owns(sockets)

    def command(self, sockets: Path) -> list[str]:
        """Return the command line of the server."""
        enter = ["/bin/sh", "-c", 'cd "$1" && exec "$2" --version', "sh", str(self.data), str(redis_program())]
        wrapper = server_wrapper(owner_of(self.data), self.stop_signal.name, enter)
        settings = {
            "port": "0",
            "unixsocket": str(sockets / _SOCKET),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "save": "",
            "daemonize": "no",
        }
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return [*wrapper, str(redis_program()), *options]

    def address(self, sockets: Path) -> str:
        """Return the URL as redis-py and arq read it."""
        return f"unix://{sockets / _SOCKET}?db=0"

    def answers(self, sockets: Path, pid: int) -> bool:  # noqa: ARG002 - PostgreSQL needs it
        """Return whether the server answers PING; while it loads its file it says LOADING instead."""
        try:
            return _ask(sockets / _SOCKET, b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def wipe(self) -> None:
        """Lose everything, as a Redis without its disk would; works on a running and on an ended server.

        Raises:
            EmbeddedServerError: The running server refuses.
        """
        if self._process is None or self._sockets is None:
            shutil.rmtree(self.data, ignore_errors=True)
            return
        answer = _ask(self._sockets / _SOCKET, b"FLUSHALL\r\n")
        if not answer.startswith(b"+OK"):
            raise EmbeddedServerError(f"The embedded Redis was not emptied: {answer.decode(errors='replace').strip()}")


def _ask(path: Path, command: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_REPLY_SECONDS)
        connection.connect(str(path))
        connection.sendall(command)
        return connection.recv(1024)
