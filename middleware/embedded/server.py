"""The life of one embedded server process: own or join, start, wait, stop, kill."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from middleware.embedded.errors import EmbeddedServerError
from middleware.embedded.orphans import end_survivors

# A socket's path may have 107 bytes, and the longest name below the folder (`.s.PGSQL.5432.lock`) has 19.
_LONGEST_SOCKET_FOLDER = 85
# Neither a URL nor a server's configuration needs quoting with these.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-.")
_POLL_SECONDS = 0.02


class EmbeddedServer(ABC):
    """A server with all its files in one folder; also a context manager that starts and stops it."""

    name: ClassVar[str]
    title: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    start_seconds: ClassVar[float] = 60.0
    stop_seconds: ClassVar[float] = 30.0

    def __init__(self, data_dir: Path) -> None:
        self.home = data_dir.resolve() / self.name
        self.data = self.home / "data"
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None
        self._url: str | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address for clients; stays the same over kill() and start()."""
        if self._url is None:
            raise EmbeddedServerError(f"The embedded {self.title} was not started.")
        return self._url

    @property
    def owned(self) -> bool:
        """Whether this process runs the server, rather than using the one of another process."""
        return self._lock is not None

    def start(self) -> None:
        """Start the server, or find the one that another process runs on the same folder.

        Raises:
            EmbeddedServerError: It is not installed, does not start, or the folder cannot be used.
        """
        try:
            self._own_or_join()
        except OSError as error:
            self.stop()
            raise EmbeddedServerError(
                f"The embedded {self.title} cannot use its folder {self.home}: {error}. "
                f"Set DATA_DIR to a folder of your own."
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server if this process runs it, keeping its data. Does nothing otherwise."""
        if self._lock is None:
            self._url = None
            return
        self._end(self.stop_signal)
        self._state_file.unlink(missing_ok=True)
        if self._sockets is not None and self._sockets.parent != self.home:
            shutil.rmtree(self._sockets, ignore_errors=True)
        self._sockets = self._url = None
        os.close(self._lock)
        self._lock = None

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would; start() brings it back at the same address."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop the server in order and start it again at the same address."""
        self._end(self.stop_signal)
        self.start()

    def revive(self) -> str:
        """Start the server again if this process runs it and it has ended; returns what it said last, "" if it lives.

        Call it from the thread that started it.

        Raises:
            EmbeddedServerError: It does not start. The folder stays ours: call it again later.
        """
        if self._lock is None or (self._process is not None and self._process.poll() is None):
            return ""
        said = self._last_words()
        try:
            self._launch(time.monotonic() + self.start_seconds)
        except OSError as error:
            raise EmbeddedServerError(
                f"The embedded {self.title} cannot use its folder {self.home}: {error}"
            ) from error
        return f"The embedded {self.title} had ended: {said}"

    @abstractmethod
    def prepare(self, sockets: Path) -> None:
        """Make the folders and files that the server needs, and let it use the folder `sockets`."""

    @abstractmethod
    def command(self, sockets: Path) -> list[str]:
        """Return the command line of the server, listening in the folder `sockets`."""

    @abstractmethod
    def address(self, sockets: Path) -> str:
        """Return the URL of the server that listens in the folder `sockets`."""

    @abstractmethod
    def answers(self, sockets: Path, pid: int) -> bool:
        """Return whether the server with this process id accepts clients now."""

    @property
    def _state_file(self) -> Path:
        return self.home / "server.json"

    def _own_or_join(self) -> None:
        self.home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if self._take_ownership():
                self._launch(deadline)
                return
            if self._join():
                return
            time.sleep(_POLL_SECONDS)
        raise EmbeddedServerError(
            f"Another process holds {self.home / 'owner.lock'} but its {self.title} did not answer "
            f"within {self.start_seconds:g} s. End that process, or set another DATA_DIR."
        )

    def _take_ownership(self) -> bool:
        if self._lock is not None:
            return True
        lock = os.open(self.home / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        self._state_file.unlink(missing_ok=True)
        return True

    def _join(self) -> bool:
        """Use the server of the process that holds the lock, once it is up."""
        try:
            state = json.loads(self._state_file.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return False  # it is still starting, or just stopping
        if not self.answers(Path(state["sockets"]), state["pid"]):
            return False
        self._url = state["url"]
        return True

    def _launch(self, deadline: float) -> None:
        end_survivors(self.data)
        self._sockets = self._sockets or self._socket_folder()
        for leftover in self._sockets.iterdir():
            leftover.unlink()
        self.prepare(self._sockets)
        log = self.home / "server.log"
        if log.exists():
            log.replace(self.home / "server.log.old")
        with log.open("wb") as output:
            # Its own session: Ctrl-C in a terminal is for us, who still need the server to finish in order.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                self.command(self._sockets),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        self._wait_until_it_answers(self._process, self._sockets, deadline)
        self._url = self.address(self._sockets)
        state = {"pid": self._process.pid, "url": self._url, "sockets": str(self._sockets)}
        self._state_file.write_text(json.dumps(state))

    def _socket_folder(self) -> Path:
        """Return a private folder for the sockets: beside the data, or a short one when that path is unusable."""
        beside = self.home / "run"
        if len(os.fsencode(beside)) <= _LONGEST_SOCKET_FOLDER and _PLAIN.issuperset(str(beside)):
            beside.mkdir(mode=0o700, exist_ok=True)
            return beside
        # Not $TMPDIR, which may be too long as well; mkdtemp makes the folder private.
        return Path(tempfile.mkdtemp(prefix="taiga-billing-", dir="/tmp"))

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], sockets: Path, deadline: float) -> None:
        while not self.answers(sockets, process.pid):
            if process.poll() is not None:
                raise EmbeddedServerError(
                    f"The embedded {self.title} ended at start (exit code {process.returncode}): {self._last_words()}"
                )
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded {self.title} did not answer within {self.start_seconds:g} s: {self._last_words()}"
                )
            time.sleep(_POLL_SECONDS)

    def _last_words(self) -> str:
        log = self.home / "server.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return f"{' / '.join(lines[-5:]) or 'it said nothing'} (whole log: {log})"

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(self.stop_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Return our environment without what would configure the server behind our back (PGPORT, PGDATA, ...)."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
