"""An event loop whose clock jumps to the next thing to do: hours of waiting are over at once, in their right order."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")

LONGEST = 1_000_000.0
"""Seconds after which a test is taken for one that waits in vain."""


class _Jumping(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Never wait; what would have been waited for is over."""
        ready = super().select(0)
        if not ready:
            if timeout is None or self.now > LONGEST:
                raise RuntimeError("everybody waits for something that never happens")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Without sockets and threads: their answers take no part in its time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds since the beginning."""
        return self._jumping.now


def run_in_virtual_time(main: Coroutine[Any, Any, _T]) -> _T:
    """Run it on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def elapsed() -> float:
    """Seconds since the loop of the caller began."""
    return asyncio.get_running_loop().time()
