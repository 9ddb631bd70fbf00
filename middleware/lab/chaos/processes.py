"""One process of the product that is killed and started again under the same name."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from middleware.process import PARENT_VARIABLE


class Part:
    """`python -m ...` with its log in `<name>.log`; it ends when this process is gone."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.starts = 0
        self._arguments = arguments
        self._environment = {**environment, PARENT_VARIABLE: str(os.getpid())}
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """Everything it printed."""
        return self._folder / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def process_id(self) -> int | None:
        """Of the process that lives, None when none does."""
        return self._process.pid if self._process is not None and self.is_running else None

    async def start(self) -> None:
        """Start it, unless it runs."""
        if self.is_running:
            return
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self._arguments,
                env=self._environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def end(self, how: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(how)
        await self._process.wait()
