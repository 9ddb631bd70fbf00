"""The outbound calls of one attempt, remembered for the person who later asks what was done."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from middleware.metrics import REMOTE_SECONDS


@dataclass(frozen=True, slots=True)
class Call:
    """One request and how it ended. `status` is None when no answer came; `ms` is the time in milliseconds.

    Never holds headers or bodies, and so no secret. `is_unsettled`: it should change something, and it is
    not known whether it did or still will.
    """

    system: str
    method: str
    path: str
    status: int | None
    ms: int
    error: str | None = None
    is_unsettled: bool = False


_calls: ContextVar[list[Call] | None] = ContextVar("calls", default=None)

acting_for: ContextVar[str] = ContextVar("acting_for", default="")
"""The subject for which requests are made now; "" outside an attempt."""


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collect every call made inside the block, also by tasks started in it, in the order in which they ended."""
    calls: list[Call] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def record(call: Call) -> None:
    """Count a call, and add it to the running collection, if there is one."""
    status = "" if call.status is None else str(call.status)
    REMOTE_SECONDS.labels(call.system, call.method, status).observe(call.ms / 1000)
    calls = _calls.get()
    if calls is not None:
        calls.append(call)
