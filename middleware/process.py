"""A process that runs for months: what ends it, as an event of the loop, and its collector of cyclic garbage."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable

PARENT_VARIABLE = "TAIGA_BILLING_PARENT"
"""Process id of the program that started this one and without which it is of no use; set by `up`."""

SECONDS_BETWEEN_LOOKS = 1.0


def stop_on_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, and the death of the parent that `up` is: it may have been killed."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    parent = os.environ.get(PARENT_VARIABLE, "")
    if parent.isdecimal():
        _stop_without(int(parent), stop, loop)
    return stop


def _stop_without(parent: int, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
    if os.getppid() != parent:
        stop.set()
    else:
        loop.call_later(SECONDS_BETWEEN_LOOKS, _stop_without, parent, stop, loop)


def on_hangup(act: Callable[[], None]) -> None:
    """What SIGHUP does from now on. In a terminal it keeps its meaning: the terminal is gone, and so is the process."""
    if sys.stdin is None or not sys.stdin.isatty():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, act)


ALLOCATIONS_BETWEEN_LOOKS = 5_000
"""Python's own 700 are a handful of requests: most looks would find nothing."""


def spare_what_stays() -> None:
    """Never again look at what is loaded by now (modules, settings, routes), and look less often at the rest.

    A look at everything takes tens of milliseconds, in which nobody is answered. To be called once, after the start.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_LOOKS, *gc.get_threshold()[1:])
