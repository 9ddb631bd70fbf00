"""The embedded PostgreSQL: one cluster, one superuser, reachable only by the user who started it."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from middleware.embedded.binaries import postgres_program
from middleware.embedded.errors import EmbeddedServerError
from middleware.embedded.orphans import end_survivors, is_alive
from middleware.embedded.privileges import ServerUser, server_wrapper, unprivileged_user
from middleware.embedded.server import EmbeddedServer

_ROLE = "taiga_billing"
_PORT = 5432
_STATUS_LINE = 7  # of postmaster.pid, counted from 0
# Commits still survive a killed server, only not a power cut: tests kill servers and count on the difference.
_THROW_AWAY = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer(EmbeddedServer):
    """PostgreSQL with its data in `DATA_DIR/postgres/data`, on a Unix socket.

    A client must be the system user that started it (peer authentication): there is no password to keep, and
    no other user of the machine comes in. Commits are durable (fsync) unless `durable` is False.
    """

    name: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    # SIGINT is the "fast" shutdown: clients are cut off, everything is written. SIGTERM would wait for clients.
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        super().__init__(data_dir)
        self._settings = {
            "listen_addresses": "",
            "port": str(_PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_connections": "100",
            "shared_buffers": "128MB",
            # After a checkpoint each touched page is logged whole: rarely, and compressed.
            "checkpoint_timeout": "15min",
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "log_checkpoints": "off",
            **({} if durable else _THROW_AWAY),
        }
        self._wrapper: list[str] = []
        self._durable = durable

    def prepare(self, sockets: Path) -> None:
        """Choose the user, make the cluster on the first start, and let in the present system user."""
        user = unprivileged_user(self.data)
        user.owns(sockets)
        if not self.data.exists():
            self._make_cluster(user)
        if self.data.stat().st_uid != user.uid:
            user.owns_all(self.data)
        self._wrapper = self._wrapper_for(user, self.data)
        (self.data / "pg_hba.conf").write_text("local all all peer map=owner\n")
        (self.data / "pg_ident.conf").write_text(f'owner "{_system_user_name()}" {_ROLE}\n')
        self._remove_reused_pid_file()

    def command(self, sockets: Path) -> list[str]:
        """Return the command line of the server."""
        settings = self._settings | {"unix_socket_directories": str(sockets)}
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [*self._wrapper, str(postgres_program("postgres")), "-D", str(self.data), *options]

    def address(self, sockets: Path) -> str:
        """Return the URL as asyncpg and libpq read it."""
        # Said here, so that PGSSLMODE and the like of the shell, which are for other servers, are not asked.
        ours = "&sslmode=disable&target_session_attrs=any"
        return f"postgresql://{_ROLE}@/postgres?host={quote(str(sockets), safe='/')}&port={_PORT}{ours}"

    def answers(self, sockets: Path, pid: int) -> bool:
        """Return whether the postmaster has declared itself ready (what pg_ctl looks at, too)."""
        lines = _pid_file_lines(self.data)
        ready = len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"
        return ready and lines[0] == str(pid) and (sockets / f".s.PGSQL.{_PORT}").exists()

    def _make_cluster(self, user: ServerUser) -> None:
        """Run initdb beside the final place: a start that was cut off leaves nothing half made there."""
        unfinished = self.home / "data.unfinished"
        end_survivors(unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        user.owns(unfinished)
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        options = ["--encoding=UTF8", f"--locale={locale}", f"--username={_ROLE}", "--auth=peer"]
        if not self._durable:
            options.append("--no-sync")
        command = [str(postgres_program("initdb")), "-D", str(unfinished), *options]
        result = subprocess.run(  # noqa: S603 - our own command
            [*self._wrapper_for(user, unfinished), *command], capture_output=True, text=True, cwd="/", check=False
        )
        if result.returncode != 0:
            raise EmbeddedServerError(f"initdb could not make {self.data}: {result.stderr.strip()}")
        unfinished.rename(self.data)

    def _wrapper_for(self, user: ServerUser, folder: Path) -> list[str]:
        """Return a wrapper under which PostgreSQL finds itself and may enter `folder`."""
        program = str(postgres_program("postgres"))
        script = 'cd "$1" && exec "$2" --describe-config >/dev/null'
        return server_wrapper(user, self.stop_signal.name, ["/bin/sh", "-c", script, "sh", str(folder), program])

    def _remove_reused_pid_file(self) -> None:
        """Remove the pid file of a dead server whose id another program has got: PostgreSQL would refuse to start.

        Safe only because the owner's lock is held and `end_survivors` found nobody at work in the folder.
        """
        lines = _pid_file_lines(self.data)
        if lines and lines[0].isdigit() and is_alive(int(lines[0])):
            (self.data / "postmaster.pid").unlink()


def _pid_file_lines(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _system_user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        raise EmbeddedServerError(
            f"The user id {os.geteuid()} has no name on this system and PostgreSQL wants one. "
            "Add it to /etc/passwd, or set DATABASE_URL."
        ) from error
