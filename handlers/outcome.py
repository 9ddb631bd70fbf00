"""How a convergence ends: words a person understands, never booleans.

A handler returns `Processed` or `Ignored`, or raises one of the errors of `handlers.errors`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Processed:
    """Invoice Ninja holds what it should. `reason` says what was done, or that nothing had to be done."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing was to be done, and why: `ignored(reason)`."""

    reason: str


Outcome = Processed | Ignored
