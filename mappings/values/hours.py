"""Hours and checkboxes as people type them into Taiga (docs/facts/taiga.md section 4: any JSON may arrive)."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from mappings.codes import Code
from mappings.errors import BadInput
from mappings.values.numbers import both_readings, read_number, read_number_text, two_readings
from mappings.values.text import one_line

SECONDS_PER_HOUR = 3600
_FOUR_DECIMALS = Decimal("0.0001")
_MINUTES_PER_HOUR = 60
_LONGEST = 40

_NUMBER = r"\d+(?:[.,]\d*)?|[.,]\d+"
_HOURS = re.compile(rf"({_NUMBER}) ?(?:h|hrs?|hours?)", re.ASCII)
_MINUTES = re.compile(rf"({_NUMBER}) ?(?:m|mins?|minutes?)", re.ASCII)
_HOURS_AND_MINUTES = re.compile(
    r"(\d+) ?(?:h|hrs?|hours?) ?([0-5]?\d)(?: ?(?:m|mins?|minutes?))?|(\d+):([0-5]\d)", re.ASCII
)

_TRUE = {"true", "on", "yes", "y", "1"}
_FALSE = {"false", "off", "no", "n", "0", ""}


def hours_to_seconds(hours: Decimal) -> int:
    """The nearest whole second (half a second counts)."""
    return int((hours * SECONDS_PER_HOUR).to_integral_value(ROUND_HALF_UP))


def seconds_to_hours(seconds: int) -> Decimal:
    """Hours with at most four decimals, without trailing zeros; `hours_to_seconds` gives the same seconds back."""
    hours = (Decimal(seconds) / SECONDS_PER_HOUR).quantize(_FOUR_DECIMALS, ROUND_HALF_UP)
    return Decimal(f"{hours.normalize():f}")


def parse_hours(value: Any, *, field: str = "Duration (Hours)", max_hours: Decimal = Decimal(1000)) -> Decimal | None:
    """The hours a person typed, to the second (see `seconds_to_hours`); None when nothing is typed.

    Read are numbers, `1.5`, `1,5`, `1.5 h`, `1h30`, `1 h 30 min`, `90m`, `1:30`. Zero is Decimal(0), not None.

    Raises:
        BadInput: it is nothing of that, negative, more than `max_hours`, or may be meant in two ways within them.
    """
    if value is None or (isinstance(value, str) and not one_line(value)):
        return None
    _refuse_two_readings(value, field, max_hours)
    hours = _typed_hours(value)
    if hours is None:
        raise BadInput(Code.BAD_HOURS, field, value, "this is not a number of hours", _HINT)
    if hours < 0:
        raise BadInput(Code.BAD_HOURS, field, value, "this is negative", _HINT)
    if hours > max_hours:
        hint = f"{_HINT}; if it is meant, raise max_hours in mappings.json"
        raise BadInput(Code.BAD_HOURS, field, value, f"this is more than {max_hours} hours", hint)
    return seconds_to_hours(hours_to_seconds(hours))


_HINT = "type the hours in Taiga as 1.5, 1:30 or 90m and save"


def _refuse_two_readings(value: Any, field: str, max_hours: Decimal) -> None:
    """`1.000` may be a thousand hours; `1.500` may not be 1500 where nobody may type more than 1000."""
    text = one_line(value).casefold() if isinstance(value, str) and len(value) <= _LONGEST else ""
    minutes = _MINUTES.fullmatch(text)
    number = minutes or _HOURS.fullmatch(text)
    readings = two_readings(number[1] if number else text)
    if readings is not None and readings[0] <= max_hours * (_MINUTES_PER_HOUR if minutes else 1):
        unit = "minutes" if minutes else "hours"
        hint = f"{_HINT}, the {unit} without a separator of thousands"
        raise BadInput(Code.BAD_HOURS, field, value, f"this may be meant in two ways: {both_readings(*readings)}", hint)


def _typed_hours(value: Any) -> Decimal | None:
    number = read_number(value)
    if number is not None or not isinstance(value, str) or len(value) > _LONGEST:
        return number
    text = one_line(value).casefold()
    if both := _HOURS_AND_MINUTES.fullmatch(text):
        return Decimal(both[1] or both[3]) + Decimal(both[2] or both[4]) / _MINUTES_PER_HOUR
    if hours := _HOURS.fullmatch(text):
        return read_number_text(hours[1])
    if minutes := _MINUTES.fullmatch(text):
        typed = read_number_text(minutes[1])
        return None if typed is None else typed / _MINUTES_PER_HOUR
    return None


def parse_checkbox(value: Any, *, field: str = "Billable") -> bool:
    """Whether a box is ticked: true, 1, "true", "on", "yes" ...; nothing typed is False, as an untouched box is.

    Raises:
        BadInput: it is any other value.
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str):
        text = one_line(value).casefold()
        if text in _TRUE | _FALSE:
            return text in _TRUE
    elif (number := read_number(value)) is not None and number in (0, 1):
        return number == 1
    raise BadInput(
        Code.BAD_CHECKBOX,
        field,
        value,
        "this is neither yes nor no",
        "make the attribute a checkbox in Taiga, and tick it or not",
    )
