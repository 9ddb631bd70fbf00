"""Periods of whole days in a time zone, and when their invoices are due to be made. No clock: `now` is an argument."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from mappings.config.rules import BillingRules

Frequency = Literal["weekly", "biweekly", "monthly"]

_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_BLOCK = timedelta(weeks=2)
_MONTH = re.compile(r"(\d{4})-(\d{2})", re.ASCII)
_ISO_WEEK = re.compile(r"(\d{4})-W(\d{2})", re.ASCII)
_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Period:
    """The days `first` to `last`, both included, as they are counted in `timezone`."""

    first: date
    last: date
    timezone: str

    @property
    def starts_at(self) -> int:
        """The midnight at which it begins, in unix seconds."""
        return _midnight(self.first, self.timezone)

    @property
    def ends_at(self) -> int:
        """The midnight at which it is over, in unix seconds; a day of changed clocks has 23 or 25 hours."""
        return _midnight(self.last + _DAY, self.timezone)

    @property
    def name(self) -> str:
        """`2025-12` for a month, `2025-W49` for a week, else `2025-12-01..2025-12-14`; `parse_period` reads it."""
        if self.first.day == 1 and self.last == _last_of_month(self.first):
            return f"{self.first:%Y-%m}"
        if self.first.isoweekday() == 1 and self.last - self.first == _WEEK - _DAY:
            return f"{self.first:%G-W%V}"
        return f"{self.first}..{self.last}"


@dataclass(frozen=True, slots=True, order=True)
class Calendar:
    """When runs are due. `generation_day` is a day of the month, or of the week (1 is Monday) for the other two.

    `anchor` is a day of the first week of a block of two weeks; only `biweekly` looks at it.
    """

    frequency: Frequency
    generation_day: int
    generation_hour: int
    timezone: str
    anchor: date

    @property
    def name(self) -> str:
        """What tells it from other calendars, such as `monthly-1-06h-Europe/Brussels`."""
        name = f"{self.frequency}-{self.generation_day}-{self.generation_hour:02}h-{self.timezone}"
        return f"{name}-{self.anchor}" if self.frequency == "biweekly" else name


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a calendar: when it is due (aware UTC), and the period that it bills."""

    due_at: datetime
    period: Period


def calendar_of(rules: BillingRules) -> Calendar:
    """The calendar that these rules ask for."""
    anchor = date.fromisoformat(rules.biweekly_anchor)
    return Calendar(rules.frequency, rules.generation_day, rules.generation_hour, rules.timezone, anchor)


def month(year: int, number: int, timezone: str) -> Period:
    """A calendar month.

    Raises:
        ValueError: there is no such month.
    """
    first = date(year, number, 1)
    return Period(first, _last_of_month(first), timezone)


def parse_period(text: str, timezone: str) -> Period:
    """The period that `2025-12`, `2025-W49` or `2025-12-01..2025-12-14` means.

    Raises:
        ValueError: it means none; the message says what to write.
    """
    try:
        if found := _MONTH.fullmatch(text):
            return month(int(found[1]), int(found[2]), timezone)
        if found := _ISO_WEEK.fullmatch(text):
            first = date.fromisocalendar(int(found[1]), int(found[2]), 1)
            return Period(first, first + _WEEK - _DAY, timezone)
        if found := _RANGE.fullmatch(text):
            return _ordered(date.fromisoformat(found[1]), date.fromisoformat(found[2]), timezone)
    except ValueError as error:
        raise ValueError(f'"{text}" is not a period: {error}') from error
    raise ValueError(f'"{text}" is not a period: write a month (2025-12), a week (2025-W49) or 2025-12-01..2025-12-14')


def latest_run(calendar: Calendar, now: datetime) -> Run:
    """The last run that was due at `now` or before it: of several that were missed, only this one is made up for.

    A run bills what is unbilled up to the end of its period, so it bills the missed ones, too.
    """
    today = now.astimezone(ZoneInfo(calendar.timezone)).date()
    later, earlier = (
        Run(_local(day, time(calendar.generation_hour), calendar.timezone), _period_before(calendar, day))
        for day in _generation_days(calendar, today)
    )
    return later if later.due_at <= now else earlier


def local_date(unix_seconds: int, timezone: str) -> date:
    """The day on which a moment falls."""
    return datetime.fromtimestamp(unix_seconds, ZoneInfo(timezone)).date()


def _generation_days(calendar: Calendar, today: date) -> tuple[date, date]:
    """The generation day of the present month or block, which may be to come, and the one before, which is past."""
    if calendar.frequency == "monthly":
        this = today.replace(day=1)
        before = (this - _DAY).replace(day=1)
        return _clipped(this, calendar.generation_day), _clipped(before, calendar.generation_day)
    step = _WEEK if calendar.frequency == "weekly" else _BLOCK
    begin = _block_start(calendar, today) + timedelta(days=calendar.generation_day - 1)
    return begin, begin - step


def _period_before(calendar: Calendar, day: date) -> Period:
    if calendar.frequency == "monthly":
        last = day.replace(day=1) - _DAY
        return Period(last.replace(day=1), last, calendar.timezone)
    step = _WEEK if calendar.frequency == "weekly" else _BLOCK
    begin = _block_start(calendar, day)
    return Period(begin - step, begin - _DAY, calendar.timezone)


def _block_start(calendar: Calendar, day: date) -> date:
    """The Monday of the week, or of the block of two weeks, in which the day lies."""
    monday = _monday(day)
    if calendar.frequency == "biweekly" and ((monday - _monday(calendar.anchor)).days // 7) % 2:
        return monday - _WEEK
    return monday


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _clipped(first: date, day: int) -> date:
    return first.replace(day=min(day, _last_of_month(first).day))


def _last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _ordered(first: date, last: date, timezone: str) -> Period:
    if last < first:
        raise ValueError("it ends before it begins")
    return Period(first, last, timezone)


def _midnight(day: date, timezone: str) -> int:
    return int(_local(day, time(0), timezone).timestamp())


def _local(day: date, moment: time, timezone: str) -> datetime:
    return datetime.combine(day, moment, ZoneInfo(timezone)).astimezone(UTC)
