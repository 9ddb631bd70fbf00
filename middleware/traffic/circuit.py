"""When a remote system is left alone, pure: a circuit opens after failures in a row and is tried again after a pause.

One subject alone never opens it: a record that a server stumbles over each time must not stop everybody's work. The
pause grows while nothing changes, so that hours of outage cost few requests; the first answer closes the circuit.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from middleware.store.operations.circuits import LONGEST_PAUSE, Circuit

FAILURES = 5
"""Failures in a row, of at least two subjects, that open the circuit."""

FIRST_PAUSE = 1.0


def pause(probes: int, jitter: float) -> float:
    """Seconds until the next attempt: doubling from 1 s to 60 s, a quarter left to chance (`jitter` in [0, 1))."""
    full = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(probes, 30))
    return full * (0.75 + jitter / 4)


def after_failure(circuit: Circuit, subject: str, message: str, now: datetime, jitter: float) -> Circuit:
    """A request of `subject` failed without an answer that makes sense; what was under way says nothing new."""
    if circuit.is_open:
        return circuit
    is_mixed = circuit.is_mixed or (circuit.failures > 0 and subject != circuit.subject)
    counted = replace(circuit, failures=circuit.failures + 1, subject=subject, is_mixed=is_mixed, message=message)
    if counted.failures < FAILURES or not is_mixed:
        return counted
    return replace(counted, open_since=now, probe_at=now + timedelta(seconds=pause(0, jitter)))


def with_probe_taken(circuit: Circuit, now: datetime, jitter: float) -> Circuit | None:
    """The circuit when somebody tries now; None when it is not time, or somebody else tries.

    The time moves on at once: when the one who tries dies, another one does it after the pause.
    """
    if not circuit.is_open or not circuit.probe_is_due(now):
        return None
    moved = now + timedelta(seconds=pause(circuit.probes + 1, jitter))
    return replace(circuit, probes=circuit.probes + 1, probe_at=moved)


def after_failed_probe(circuit: Circuit, message: str, now: datetime, jitter: float) -> Circuit:
    """The attempt failed: the pause begins with its end (a server that hangs takes half a minute to say so)."""
    if not circuit.is_open:
        return circuit
    return replace(circuit, message=message, probe_at=now + timedelta(seconds=pause(circuit.probes, jitter)))
