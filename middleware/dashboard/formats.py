"""Times, numbers and money as people read them. Pure; the pages speak English, times are in the viewer's zone."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_time, format_timedelta
from babel.numbers import format_currency, format_decimal, get_currency_symbol

from mappings.values.money import MoneyError, exponent, to_major

_LOCALE = Locale("en", "GB")
_SHORT_MS = 1000


def zone_named(name: str) -> tzinfo:
    """The time zone that a browser names, else UTC."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def moment_text(moment: datetime, zone: tzinfo) -> str:
    """A moment to the minute: `21 Nov 2026, 14:05`."""
    return format_datetime(moment, "d MMM y, HH:mm", tzinfo=zone, locale=_LOCALE)


def exact_text(moment: datetime, zone: tzinfo) -> str:
    """A moment to the second with its zone: `21 Nov 2026, 14:05:09 CET`."""
    return format_datetime(moment, "d MMM y, HH:mm:ss z", tzinfo=zone, locale=_LOCALE)


def clock_text(moment: datetime, zone: tzinfo) -> str:
    """The time of day to the second: `14:05:09`."""
    return format_time(moment.astimezone(zone), "HH:mm:ss", locale=_LOCALE)


def day_text(day: date) -> str:
    """A day: `21 Nov 2026`."""
    return format_date(day, "d MMM y", locale=_LOCALE)


def month_text(day: date) -> str:
    """The month of a day: `November 2026`."""
    return format_date(day, "MMMM y", locale=_LOCALE)


def ago_text(moment: datetime, now: datetime) -> str:
    """How long ago, or in how long: `3 minutes ago`, `in 2 hours`, `now`."""
    distance = moment - now
    if abs(distance) < timedelta(seconds=1):
        return "now"
    return format_timedelta(distance, add_direction=True, threshold=1.2, locale=_LOCALE)


def seconds_text(seconds: float) -> str:
    """A duration in its largest unit: `40 seconds`, `3 hours`."""
    return format_timedelta(timedelta(seconds=seconds), threshold=1.2, locale=_LOCALE)


def milliseconds_text(milliseconds: int) -> str:
    """A short duration: `85 ms`, `1.2 s`."""
    return f"{milliseconds} ms" if milliseconds < _SHORT_MS else f"{Decimal(milliseconds) / 1000:.1f} s"


def count_text(number: int) -> str:
    """A whole number with separators: `12,480`."""
    return format_decimal(number, locale=_LOCALE)


def hours_text(hours: Decimal) -> str:
    """Hours with two decimals: `1,204.25`."""
    return format_decimal(hours, "#,##0.00###", locale=_LOCALE)


def rate_text(rate: Decimal) -> str:
    """A rate without a currency, which Taiga and the mapping do not know: `75.00`."""
    return format_decimal(rate, "#,##0.00##", locale=_LOCALE)


def money_text(amount: Decimal, currency: str) -> str:
    """An amount in its currency: `€1,234.50`. Decimals by Stripe's table, more where the amount has more."""
    try:
        digits = exponent(currency)
    except MoneyError:
        digits = 2
    shift = amount.as_tuple().exponent
    digits = max(digits, -shift if isinstance(shift, int) else 0)
    number = "#,##0" + ("." + "0" * digits if digits else "")
    if not currency:
        return format_decimal(amount, number, locale=_LOCALE)
    code = currency.upper()
    # A code that stands for itself is kept apart from the digits.
    gap = "\N{NO-BREAK SPACE}" if get_currency_symbol(code, locale=_LOCALE) == code else ""
    return format_currency(amount, code, f"¤{gap}{number}", locale=_LOCALE, currency_digits=False)


def minor_text(minor: int, currency: str) -> str:
    """An amount in Stripe's minor units; as it is, where Stripe does not say what its unit is."""
    try:
        return money_text(to_major(minor, currency), currency)
    except MoneyError:
        return f"{count_text(minor)} of the smallest unit of {currency.upper() or 'an unknown currency'}"
