"""Times, numbers and money as people read them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.values.money import DOUBTFUL, THREE_DECIMALS, WHOLE_UNITS_IN_CENTS, ZERO_DECIMALS
from middleware.dashboard import formats

MOMENT = datetime(2026, 11, 21, 13, 5, 9, tzinfo=UTC)


class TestTimes:
    """Moments in the viewer's zone."""

    def test_in_the_zone(self) -> None:
        """The same moment reads differently in Brussels."""
        brussels = ZoneInfo("Europe/Brussels")
        assert formats.moment_text(MOMENT, UTC) == "21 Nov 2026, 13:05"
        assert formats.moment_text(MOMENT, brussels) == "21 Nov 2026, 14:05"
        assert formats.exact_text(MOMENT, brussels) == "21 Nov 2026, 14:05:09 CET"
        assert formats.clock_text(MOMENT, brussels) == "14:05:09"

    @pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "a" * 500, "\x00"])
    def test_what_is_no_zone_is_utc(self, name: str) -> None:
        """A cookie may hold anything."""
        assert formats.zone_named(name) is UTC

    def test_days_and_months(self) -> None:
        """Days of the calendar have no zone."""
        assert formats.day_text(date(2026, 3, 1)) == "1 Mar 2026"
        assert formats.month_text(date(2026, 3, 1)) == "March 2026"

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "now"),
            (-40, "40 seconds ago"),
            (-3 * 60, "3 minutes ago"),
            (7200, "in 2 hours"),
            (-86400 * 3, "3 days ago"),
        ],
    )
    def test_distances(self, seconds: int, text: str) -> None:
        """How long ago, or in how long."""
        assert formats.ago_text(MOMENT + timedelta(seconds=seconds), MOMENT) == text

    def test_durations(self) -> None:
        """Short ones in milliseconds, longer ones in seconds."""
        assert formats.milliseconds_text(85) == "85 ms"
        assert formats.milliseconds_text(1249) == "1.2 s"
        assert formats.seconds_text(7200) == "2 hours"


class TestMoney:
    """Amounts in their currency, never rounded."""

    @pytest.mark.parametrize(
        ("amount", "currency", "text"),
        [
            ("1234.5", "EUR", "€1,234.50"),
            ("1234", "JPY", "JP¥1,234"),
            ("12.340", "KWD", "KWD\N{NO-BREAK SPACE}12.340"),
            ("-3.1", "usd", "-US$3.10"),
            ("0.125", "EUR", "€0.125"),
            ("5", "", "5.00"),
            ("5", "XX?", "XX?\N{NO-BREAK SPACE}5.00"),
        ],
    )
    def test_texts(self, amount: str, currency: str, text: str) -> None:
        """Symbol, separators, and Stripe's number of decimals."""
        assert formats.money_text(Decimal(amount), currency) == text

    def test_minor_units(self) -> None:
        """Stripe's integers become amounts; what has no unit stays a number that says so."""
        assert formats.minor_text(53000, "eur") == "€530.00"
        assert formats.minor_text(530, "jpy") == "JP¥530"
        assert formats.minor_text(530, "ugx") == "530 of the smallest unit of UGX"
        assert formats.minor_text(530, "") == "530 of the smallest unit of an unknown currency"

    @given(
        minor=st.integers(-(10**12), 10**12),
        currency=st.sampled_from(
            sorted((ZERO_DECIMALS | THREE_DECIMALS | {"EUR", "USD", "HUF", "TWD"}) - WHOLE_UNITS_IN_CENTS - DOUBTFUL)
        ),
    )
    def test_no_digit_is_lost(self, minor: int, currency: str) -> None:
        """Whatever the amount: the digits of the text are the digits of the integer."""
        if currency in THREE_DECIMALS:
            minor -= minor % 10
        text = formats.minor_text(minor, currency)
        digits = "".join(sign for sign in text if sign.isdigit())
        assert int(digits or 0) == abs(minor)
        assert ("-" in text) == (minor < 0)

    def test_hours_and_rates(self) -> None:
        """At least two decimals, more where there are more."""
        assert formats.hours_text(Decimal("1204.25")) == "1,204.25"
        assert formats.hours_text(Decimal("0.33333")) == "0.33333"
        assert formats.rate_text(Decimal(75)) == "75.00"
        assert formats.count_text(12480) == "12,480"
