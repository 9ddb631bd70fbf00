"""When things are due by the clock, and ages as people write them."""

from datetime import UTC, datetime, timedelta

import click
import pytest

from middleware.commands.options import Ago
from middleware.jobs.periodic import every, nightly

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def test_every_and_nightly() -> None:
    """A distance from now; the next time it is this hour, today or tomorrow."""
    assert every(15)(NOW) == NOW + timedelta(minutes=15)
    assert nightly(2, 20)(NOW) == datetime(2026, 11, 22, 2, 20, tzinfo=UTC)
    assert nightly(13)(NOW) == datetime(2026, 11, 21, 13, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"), [("30d", timedelta(30)), ("90m", timedelta(hours=1.5)), ("2w", timedelta(14))]
)
def test_ages(text: str, span: timedelta) -> None:
    """A number and a unit, before now."""
    before = datetime.now(UTC) - span
    moment = Ago().convert(text, None, None)
    assert before <= moment <= datetime.now(UTC) - span


def test_dates() -> None:
    """ISO dates and times; without a zone they are UTC."""
    assert Ago().convert("2026-11-01", None, None) == datetime(2026, 11, 1, tzinfo=UTC)
    assert Ago().convert("2026-11-01T02:00+02:00", None, None) == datetime(2026, 11, 1, tzinfo=UTC)
    with pytest.raises(click.BadParameter, match="neither an age"):
        Ago().convert("yesterday", None, None)
