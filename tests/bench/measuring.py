"""Runs a command of ours in a process of its own and measures it."""

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KIBIBYTES = 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """What it printed, and what it took: seconds on the clock and of CPU, and MiB at its peak."""

    printed: str
    seconds: float
    cpu_seconds: float
    peak_mebibytes: int

    @property
    def cost(self) -> str:
        """In words."""
        return f"{self.seconds:.1f} s ({self.cpu_seconds:.1f} s of CPU), peak {self.peak_mebibytes} MiB"


async def measure(arguments: list[str], environment: Mapping[str, str]) -> Measured:
    """Run `taiga-billing` once with these arguments, and with nothing else in its environment."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRAPPER,
        *arguments,
        env={**environment, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    printed, _, measured = out.decode().rpartition("MEASURED ")
    peak, cpu = measured.split()
    return Measured(printed, time.monotonic() - started, float(cpu), int(peak) // KIBIBYTES)


WRAPPER = """
import resource, sys
from middleware.cli import group
try:
    group(sys.argv[1:], standalone_mode=False)
except BaseException as end:
    code = getattr(end, "exit_code", None)
    if code is None:
        raise
used = resource.getrusage(resource.RUSAGE_SELF)
print("MEASURED", used.ru_maxrss, used.ru_utime + used.ru_stime)
"""
