"""What a process costs, read from the kernel: CPU time and resident memory."""

import os
import platform
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


def usage_of_tree(pid: int) -> Usage:
    """The usage of a process with all its descendants (PostgreSQL works in many); shared pages count once each."""
    total_cpu, total_rss = 0.0, 0.0
    for member in [pid, *descendants(pid)]:
        try:
            one = usage(member)
        except (FileNotFoundError, ProcessLookupError):
            continue
        total_cpu += one.cpu_seconds
        total_rss += one.rss_mb
    return Usage(total_cpu, total_rss)


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
