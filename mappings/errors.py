"""What can be wrong with what people typed, configured or what a remote system sent; each error names the place."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mappings.codes import Code

_SHOWN = 80
_SHORT_INT_BITS = 256


def printable(value: Any) -> str:
    """A value as one printable line of at most 80 characters, whatever it is."""
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)} values"
    # Python refuses to write integers of more than 4300 digits.
    if isinstance(value, int) and value.bit_length() > _SHORT_INT_BITS:
        return f"a number of about {value.bit_length() * 3 // 10} digits"
    text = value if isinstance(value, str) else _plain(value)
    head = "".join(char if char.isprintable() else " " for char in text[: _SHOWN + 1])
    return head if len(head) <= _SHOWN else head[: _SHOWN - 3] + "..."


def _plain(value: Any) -> str:
    """Scalars as JSON writes them, because that is what the person or the server sent."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, int | float | Decimal) else type(value).__name__


def shown(value: Any) -> str:
    """`printable`, with quotes around texts: `"75"` is not 75."""
    return f'"{printable(value)}"' if isinstance(value, str) else printable(value)


class BadInput(Exception):
    """A person typed something that cannot be billed; only a person can repair it.

    Attributes:
        code: what programs compare.
        field: the Taiga attribute or the part of mappings.json.
        value: the value, printable and shortened to 80 characters.
        problem: what is wrong with it.
        hint: what to do.
    """

    def __init__(self, code: Code, field: str, value: Any, problem: str, hint: str) -> None:
        self.code = code
        self.field = field
        self.value = printable(value)
        self.problem = problem
        self.hint = hint
        super().__init__(f'"{field}" is {"not set" if value is None else shown(value)}: {problem}')


class NotUnderstood(Exception):
    """A payload has another shape than the recorded ones. `path` is like `data.status.is_closed`."""

    code = Code.NOT_UNDERSTOOD

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}" if path else problem)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in mappings.json. `path` is like `project_mappings[2].default_hourly_rate`, "" for the whole file."""

    path: str
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.path or 'the file'}: {self.message} ({self.hint})"


class MappingErrors(Exception):
    """Everything that is wrong with mappings.json, in the order of the file as far as it is known."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
