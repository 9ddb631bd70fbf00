"""Values as the PHP server treats them: money as JSON numbers, trimmed strings, case-blind comparison, bare dates.

All arithmetic is done on `Decimal`; a float exists only as the JSON number of an answer.
"""

import unicodedata
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

ZERO = Decimal(0)
_STORED_PLACES = Decimal("0.000001")


def is_number(value: Any) -> bool:
    """Tell whether PHP would call the value numeric."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return True
    try:
        return isinstance(value, str) and Decimal(value).is_finite()
    except InvalidOperation:
        return False


def decimal(value: Any) -> Decimal:
    """Read a JSON number or numeric string; anything else counts 0, as a PHP cast does."""
    return Decimal(str(value)) if is_number(value) else ZERO


def number(value: Decimal) -> int | float:
    """Give the JSON number: whole values as integers, at most six decimals (the columns are decimal(20,6))."""
    stored = value.quantize(_STORED_PLACES, rounding=ROUND_HALF_UP)
    return exact(stored)


def exact(value: Decimal) -> int | float:
    """Give the JSON number with all its decimals: line items are stored as JSON, not in decimal columns."""
    return int(value) if value == value.to_integral_value() else float(value)


def rounded(value: Decimal, places: int = 2) -> Decimal:
    """Round half away from zero, as PHP's `round`."""
    return value.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)


@lru_cache(maxsize=65_536)
def collated(text: str) -> str:
    """Give the form in which utf8mb4_unicode_ci compares: without case, accents and trailing spaces."""
    if text.isascii():
        return text.rstrip(" ").lower()
    decomposed = unicodedata.normalize("NFKD", text.rstrip(" ").casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def trimmed(value: Any) -> Any:
    """Trim all strings and turn empty ones into None, at every depth (two middlewares of the real server)."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Mapping):
        return {key: trimmed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trimmed(item) for item in value]
    return value


def text(value: Any) -> str:
    """Cast to the string that a text column stores; None becomes the empty reference."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else ""
    return str(value)


def is_true(value: Any) -> bool:
    """Read a trigger flag: only `true` and "true" count, 1 does not (facts section 8)."""
    return value is True or value == "true"


def as_date(value: Any) -> date | None:
    """Read a bare date; None when it is empty or no date."""
    try:
        return date.fromisoformat(text(value)[:10])
    except ValueError:
        return None


def plus_days(day: str, days: int) -> str:
    """Add days to a bare date; an unreadable one stays empty."""
    start = as_date(day)
    return "" if start is None else (start + timedelta(days=days)).isoformat()


def moment(value: str) -> int | None:
    """Read a point in time given as unix seconds or ISO 8601; None when it is neither."""
    if value.lstrip("-").isdigit():
        return int(value)
    try:
        return int(datetime.fromisoformat(value).timestamp())
    except ValueError:
        return None
