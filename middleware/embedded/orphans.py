"""Processes of an earlier server that still work in a data folder.

Both servers make their data folder their working directory, which tells their processes from every other one, and stays
right when process ids are used again. Read from /proc; on a system without it nothing is found, and the server itself
refuses to start beside another.
"""

import os
import signal
import time
from pathlib import Path

from middleware.embedded.errors import EmbeddedServerError

_PATIENCE_SECONDS = 20.0


def processes_in(folder: Path) -> list[int]:
    """Return the ids of the processes whose working directory is `folder`, as far as we may see them."""
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _works_in(entry, folder)]


def end_survivors(folder: Path) -> None:
    """Kill what is left of a server whose owner is gone, and wait until none of its processes writes any more.

    SIGKILL is safe: both servers recover from their log, as after a crash.

    Raises:
        EmbeddedServerError: A process does not end.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while pids := processes_in(folder):
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"Processes {pids} still work in {folder}. End them and try again.")
        for pid in pids:
            _kill(pid)
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return whether any process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(process: Path, folder: Path) -> bool:
    try:
        return (process / "cwd").readlink() == folder
    except OSError:
        return False  # it is gone, or belongs to somebody else


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it ended by itself
