"""Numbers that people type, exactly: JSON numbers, and texts with a point or a comma."""

import re
from decimal import Decimal
from typing import Any

from mappings.values.text import one_line

_LONGEST = 40
_PLAIN = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)", re.ASCII)
_MINUS = str.maketrans({"\N{MINUS SIGN}": "-"})


def read_number(value: Any) -> Decimal | None:
    """The value as a finite Decimal; None when it is not a number (booleans and other texts are not).

    Floats are read as they are written: 0.1 is exactly one tenth.
    """
    if isinstance(value, str):
        return read_number_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return number if number.is_finite() else None


def read_number_text(text: str) -> Decimal | None:
    """A text such as `1.5`, `1,5` or ` .5 `; at most one separator, no groups of thousands, at most 40 characters."""
    plain = one_line(text).translate(_MINUS)
    if len(plain) > _LONGEST or not _PLAIN.fullmatch(plain):
        return None
    return Decimal(plain.replace(",", "."))
