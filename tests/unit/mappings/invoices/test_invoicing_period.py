"""Periods, calendars and due dates."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoices.due_date import due_date
from mappings.invoices.period import Calendar, Frequency, Period, latest_run, local_date, parse_period

ZONES = ("UTC", "Europe/Brussels", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/Sao_Paulo")
ANCHOR = date(2024, 1, 1)


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2025-12", date(2025, 12, 1), date(2025, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2025-W49", date(2025, 12, 1), date(2025, 12, 7)),
        ("2026-W01", date(2025, 12, 29), date(2026, 1, 4)),
        ("2025-12-01..2025-12-14", date(2025, 12, 1), date(2025, 12, 14)),
    ],
)
def test_reading(text: str, first: date, last: date) -> None:
    """Months, ISO weeks and ranges of days are read, and named alike again."""
    period = parse_period(text, "UTC")
    assert (period.first, period.last, period.name) == (first, last, text)


@pytest.mark.parametrize(
    "text", ["", "2025", "2025-13", "2025-W54", "2025-12-14..2025-12-01", "12/2025", "2025-02-30..2025-03-01"]
)
def test_nonsense(text: str) -> None:
    """What is not a period says so, with what to write or what is wrong."""
    with pytest.raises(ValueError, match="is not a period"):
        parse_period(text, "UTC")


@pytest.mark.parametrize(("text", "hours"), [("2025-03", 743), ("2025-10", 745), ("2025-12", 744)])
def test_clocks_that_change(text: str, hours: int) -> None:
    """A month in which clocks are changed is an hour shorter or longer."""
    period = parse_period(text, "Europe/Brussels")
    assert period.ends_at - period.starts_at == hours * 3600


@given(day=st.dates(date(1990, 1, 1), date(2040, 1, 1)), length=st.integers(0, 40), zone=st.sampled_from(ZONES))
def test_periods_touch(day: date, length: int, zone: str) -> None:
    """Whatever the zone, the next period begins where this one ends, and a moment belongs to one day only."""
    period = Period(day, day + timedelta(days=length), zone)
    following = Period(period.last + timedelta(days=1), period.last + timedelta(days=2), zone)
    assert period.ends_at == following.starts_at
    assert period.starts_at <= period.ends_at
    if local_date(period.ends_at, zone) == following.first:
        assert local_date(period.ends_at - 1, zone) <= period.last


@pytest.mark.parametrize(
    ("frequency", "day", "now", "period", "due"),
    [
        ("monthly", 1, "2026-01-01T05:00", "2025-12", "2026-01-01T05:00"),
        ("monthly", 1, "2026-01-01T04:59", "2025-11", "2025-12-01T05:00"),
        ("monthly", 31, "2026-02-28T12:00", "2026-01", "2026-02-28T05:00"),
        ("monthly", 31, "2026-03-01T12:00", "2026-01", "2026-02-28T05:00"),
        ("monthly", 15, "2026-07-15T04:00", "2026-06", "2026-07-15T04:00"),
        ("weekly", 1, "2025-12-08T05:00", "2025-W49", "2025-12-08T05:00"),
        ("weekly", 7, "2025-12-08T05:00", "2025-W48", "2025-12-07T05:00"),
        ("biweekly", 1, "2025-12-15T05:00", "2025-12-01..2025-12-14", "2025-12-15T05:00"),
        ("biweekly", 1, "2025-12-14T05:00", "2025-11-17..2025-11-30", "2025-12-01T05:00"),
    ],
)
def test_when_runs_are_due(frequency: Frequency, day: int, now: str, period: str, due: str) -> None:
    """At six in the morning of the generation day, summer or winter; the period before it is billed."""
    calendar = Calendar(frequency, day, 6, "Europe/Brussels", ANCHOR)
    run = latest_run(calendar, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (run.period.name, f"{run.due_at:%Y-%m-%dT%H:%M}") == (period, due)


@given(
    frequency=st.sampled_from(["weekly", "biweekly", "monthly"]),
    day=st.integers(1, 31),
    zone=st.sampled_from(ZONES),
    now=st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - zone given
)
def test_no_day_is_passed_over(frequency: Frequency, day: int, zone: str, now: datetime) -> None:
    """The periods of one run after the other touch: whenever one looks, nothing lies between two periods."""
    calendar = Calendar(frequency, day if frequency == "monthly" else min(day, 7), 6, zone, ANCHOR)
    run = latest_run(calendar, now)
    before = latest_run(calendar, run.due_at - timedelta(seconds=1))
    assert run.due_at <= now
    assert before.due_at < run.due_at
    assert before.period.ends_at == run.period.starts_at
    assert run.period.ends_at <= run.due_at.timestamp() + 1


@pytest.mark.parametrize(
    ("terms", "day", "due"),
    [
        ("net30", date(2026, 1, 31), date(2026, 3, 2)),
        ("net0", date(2026, 1, 31), date(2026, 1, 31)),
        ("due_on_receipt", date(2026, 1, 31), date(2026, 1, 31)),
        ("eom", date(2024, 2, 1), date(2024, 2, 29)),
    ],
)
def test_due_dates(terms: str, day: date, due: date) -> None:
    """Each of the payment terms."""
    assert due_date(terms, day) == due


def test_unknown_terms() -> None:
    """Terms that mappings.json would not let pass are an error, never a guess."""
    with pytest.raises(ValueError, match="no payment terms"):
        due_date("soon", ANCHOR)
