"""What a process costs, read from the kernel: CPU time and resident memory."""

import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds since the start of a process and its resident megabytes."""

    cpu_seconds: float
    rss_mb: float


def usage(pid: int) -> Usage:
    """The usage of one process without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return Usage(ticks / TICKS_PER_SECOND, pages * PAGE_BYTES / 1e6)


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """CPU seconds of each process that is still alive; PostgreSQL's helpers end at any time."""
    seconds: dict[int, float] = {}
    for pid in pids:
        try:
            seconds[pid] = usage(pid).cpu_seconds
        except (FileNotFoundError, ProcessLookupError):
            continue
    return seconds


def spent(before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """CPU seconds between two readings, of the processes that were alive at both."""
    return sum(seconds - before[pid] for pid, seconds in after.items() if pid in before)


def descendants(pid: int) -> list[int]:
    """The ids of all processes below this one."""
    try:
        children = [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return children + [grandchild for child in children for grandchild in descendants(child)]


def description() -> str:
    """The machine in one line."""
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
