"""When a remote system is left alone, pure: a circuit opens after failures in a row and is tried again after a pause.

One subject alone never opens it: a record that a server stumbles over each time must not stop everybody's work. The
pause grows while nothing changes, so that hours of outage cost few requests; the first answer closes the circuit.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES = 5
"""Failures in a row, of at least two subjects, that open the circuit."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Circuit:
    """What all workers together know of one system. `probes` counts the attempts that failed since it is open."""

    failures: int = 0
    subject: str = ""
    is_mixed: bool = False
    open_since: datetime | None = None
    probe_at: datetime | None = None
    probes: int = 0
    message: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the system is left alone."""
        return self.open_since is not None

    @property
    def is_calm(self) -> bool:
        """Whether there is nothing to forget."""
        return self == CLOSED

    @property
    def in_words(self) -> str:
        """Since when the system is left alone, and why; "" while it is not."""
        return f"away since {self.open_since:%Y-%m-%d %H:%M:%S} UTC ({self.message})" if self.open_since else ""

    def probe_is_due(self, now: datetime) -> bool:
        """Whether somebody may try again."""
        # One that is too far away was set by a machine whose clock is wrong.
        return self.probe_at is not None and not now < self.probe_at <= now + 2 * timedelta(seconds=LONGEST_PAUSE)

    def seconds_to_probe(self, now: datetime) -> float:
        """How long until somebody may try again."""
        return max(0.0, (self.probe_at - now).total_seconds()) if self.probe_at else 0.0


CLOSED = Circuit()


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
