"""Reserved words in line notes: a POST fills in the day of the server, not that of the invoice (facts 2, section 3)."""

import re
from datetime import date, timedelta

_WORD = re.compile(r":(MONTHYEAR|MONTH_BEFORE|MONTH_AFTER|MONTH|YEAR|QUARTER|WEEK)([+-]\d+)?")
_MONTHS = 12
_MONTHS_OF_QUARTER = 3


def filled(notes: str, today: date) -> str:
    """The notes as the server stores them: the words filled in, blanks around them trimmed."""
    return _WORD.sub(lambda found: _value(found[1], int(found[2] or 0), today), notes).strip()


def _value(word: str, offset: int, today: date) -> str:
    month = _months_on(today, offset)
    values = {
        "MONTH": f"{month:%B}",
        "MONTHYEAR": f"{month:%B %Y}",
        "YEAR": str(today.year + offset),
        "QUARTER": f"Q{(today.month - 1) // _MONTHS_OF_QUARTER + 1}" if not offset else _quarter(today, offset),
        "WEEK": _span(today, today + timedelta(days=6)),
        "MONTH_BEFORE": _span(_months_on(today, -1), today - timedelta(days=1)),
        "MONTH_AFTER": _span(today, _months_on(today, 1) - timedelta(days=1)),
    }
    return values[word]


def _quarter(today: date, offset: int) -> str:
    # The server loses the Q here and does not go round the year: 4 + 2 is 6, as recorded.
    return str((today.month - 1) // _MONTHS_OF_QUARTER + 1 + offset)


def _months_on(today: date, months: int) -> date:
    number = today.year * _MONTHS + today.month - 1 + months
    first = date(number // _MONTHS, number % _MONTHS + 1, 1)
    following = date((number + 1) // _MONTHS, (number + 1) % _MONTHS + 1, 1)
    return first + timedelta(days=min(today.day, (following - first).days) - 1)


def _span(first: date, last: date) -> str:
    return f"{first:%d/%b/%Y} To {last:%d/%b/%Y}"
