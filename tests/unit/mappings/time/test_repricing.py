"""What recorded work would cost at the rates of now."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from mappings.taiga.models import WorkItem
from mappings.time.recorded import Recorded
from mappings.time.repricing import Repriced, is_from, reprice, sums_by_client
from tests.unit.mappings.time.test_recorded import BEFORE, item, rules

SENT = {"description": "Task #3: Build", "client_id": "acme", "ended_at": 0}
TEN = replace(BEFORE, hours=Decimal(10))


def at_rates_of_now(of: WorkItem, before: Recorded = TEN, **parts: Any) -> Repriced | None:
    """The entry at the rates of now."""
    return reprice(("taiga:task:7", "TAIGA-T7"), SENT, before, of, rules(**parts))


def test_another_rate() -> None:
    """The old and the new rate and sum, and the setting of the new one."""
    found = at_rates_of_now(item())
    assert found is not None
    assert (found.number, found.old_rate, found.new_rate) == ("TAIGA-T7", Decimal(60), Decimal(110))
    assert (found.old_sum, found.new_sum, found.source) == (Decimal(600), Decimal(1100), "user_rates of ann")
    assert sums_by_client([found, found]) == {"acme": (Decimal(1200), Decimal(2200))}


def test_nothing_to_change() -> None:
    """The same rate, a rate that was typed into the task, or none at all change nothing."""
    assert at_rates_of_now(item(), replace(TEN, rate=Decimal(110))) is None
    assert at_rates_of_now(replace(item(), attributes={"Hourly Rate": 95})) is None
    assert at_rates_of_now(item(), project_mappings=[], user_rates={}) is None


def test_a_deleted_account() -> None:
    """A deleted account has the rate of the person that it was."""
    found = at_rates_of_now(item("deleted-user-1795000000000"))
    assert found is not None
    assert found.new_rate == 110


def test_the_day_is_that_of_the_rules() -> None:
    """The day on which work was finished is the one in the time zone of its rules."""
    sent = {"ended_at": int(datetime(2026, 11, 30, 23, 30, tzinfo=UTC).timestamp())}
    assert is_from(sent, None, "UTC")
    assert not is_from(sent, date(2026, 12, 1), "UTC")
    assert is_from(sent, date(2026, 12, 1), "Europe/Brussels")
