"""Numbers that people type, exactly: JSON numbers, and texts with a point or a comma."""

import re
from decimal import Decimal
from typing import Any

from mappings.values.text import one_line

_LONGEST = 40
_CENT = Decimal("0.01")
_PLAIN = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)", re.ASCII)
_THREE_BEHIND = re.compile(r"[+-]?([1-9]\d{0,2})[.,](\d{3})", re.ASCII)
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


def two_readings(value: Any) -> tuple[Decimal, Decimal] | None:
    """Both readings of a text such as `1.200` or `12,000`, thousands first; None when there is only one.

    In one country the separator groups thousands, in another one it begins the decimals. Numbers of JSON are in no
    doubt: programs write them.
    """
    found = _THREE_BEHIND.fullmatch(one_line(value).translate(_MINUS)) if isinstance(value, str) else None
    return (Decimal(found[1] + found[2]), Decimal(f"{found[1]}.{found[2]}")) if found else None


def both_readings(thousands: Decimal, decimals: Decimal) -> str:
    """The question to the person: `1200 or 1.20?`."""
    short = decimals.normalize()
    return f"{thousands} or {short if short.as_tuple().exponent == -3 else decimals.quantize(_CENT)}?"  # noqa: PLR2004


def read_number_text(text: str) -> Decimal | None:
    """A text such as `1.5`, `1,5` or ` .5 `; at most one separator, no groups of thousands, at most 40 characters."""
    plain = one_line(text).translate(_MINUS)
    if len(plain) > _LONGEST or not _PLAIN.fullmatch(plain):
        return None
    return Decimal(plain.replace(",", "."))
