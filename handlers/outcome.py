"""How a convergence ends: a stable code for programs, words for people, never booleans.

A handler returns `Processed` or `Ignored`, or raises one of the errors of `handlers.errors`.
"""

from dataclasses import dataclass

from mappings.codes import Code


@dataclass(frozen=True, slots=True)
class Processed:
    """Invoice Ninja holds what it should. `reason` says what was done, or that nothing had to be done."""

    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing was to be done, and why."""

    code: Code
    reason: str


Outcome = Processed | Ignored
