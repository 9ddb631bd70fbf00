"""From typed to billed hours."""

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mappings.config.rules import BelowMinimum, Rounding, RoundingMode
from mappings.time.rounding import STEP_SECONDS, round_hours
from mappings.values.hours import hours_to_seconds, seconds_to_hours

hours = st.integers(0, 1000 * 3600).map(seconds_to_hours)
minimums = st.integers(0, 5 * 3600).map(seconds_to_hours)
steps: st.SearchStrategy[Rounding] = st.sampled_from(get_args(Rounding))
modes: st.SearchStrategy[RoundingMode] = st.sampled_from(get_args(RoundingMode))
ways: st.SearchStrategy[BelowMinimum] = st.sampled_from(get_args(BelowMinimum))


@pytest.mark.parametrize(
    ("raw", "step", "mode", "billed"),
    [
        ("1.1", "none", "up", "1.1"),
        ("1.1", "quarter_hour", "up", "1.25"),
        ("1.25", "quarter_hour", "up", "1.25"),
        ("1.2503", "quarter_hour", "up", "1.5"),
        ("1.1", "quarter_hour", "nearest", "1"),
        ("1.125", "quarter_hour", "nearest", "1.25"),
        ("1.24", "quarter_hour", "down", "1"),
        ("1.1", "half_hour", "up", "1.5"),
        ("1.1", "hour", "up", "2"),
        ("1.5", "hour", "nearest", "2"),
        ("1.4997", "hour", "nearest", "1"),
        ("0.1", "hour", "down", "0"),
        ("0", "hour", "up", "0"),
    ],
)
def test_steps_and_modes(raw: str, step: Rounding, mode: RoundingMode, billed: str) -> None:
    """A worked example of every step and mode; half a step counts as a whole one."""
    assert str(round_hours(Decimal(raw), step, mode)) == billed


@pytest.mark.parametrize(
    ("raw", "below", "billed"),
    [
        ("0.1", "raise", "0.5"),
        ("0.1", "skip", None),
        ("0.5", "skip", "0.5"),
        ("0.6", "raise", "0.75"),
        ("0", "raise", "0"),
    ],
)
def test_minimum(raw: str, below: BelowMinimum, billed: str | None) -> None:
    """Work below the minimum is raised to it or skipped; no work is neither."""
    result = round_hours(Decimal(raw), "quarter_hour", "up", Decimal("0.5"), below)
    assert (None if result is None else str(result)) == billed


def test_minimum_is_rounded_up_to_the_step() -> None:
    """A minimum that is no multiple of the step does not make an invoice with odd hours."""
    assert round_hours(Decimal("0.1"), "quarter_hour", "down", Decimal("0.3")) == Decimal("0.5")


@given(hours, steps, minimums)
def test_rounding_up_never_loses_time(raw: Decimal, step: Rounding, minimum: Decimal) -> None:
    """Billed is at least what was worked, and less than a step more unless the minimum raised it."""
    billed = round_hours(raw, step, "up", minimum)
    assert billed is not None
    assert billed >= raw
    assert hours_to_seconds(billed) < max(hours_to_seconds(raw), hours_to_seconds(minimum)) + STEP_SECONDS[step]


@given(hours, steps)
def test_rounding_down_never_invents_time(raw: Decimal, step: Rounding) -> None:
    """Billed is at most what was worked."""
    billed = round_hours(raw, step, "down")
    assert billed is not None
    assert billed <= raw


@given(hours, steps)
def test_nearest_is_at_most_half_a_step_away(raw: Decimal, step: Rounding) -> None:
    """Neither side is favoured by more than half a step."""
    billed = round_hours(raw, step, "nearest")
    assert billed is not None
    assert 2 * abs(hours_to_seconds(billed) - hours_to_seconds(raw)) <= STEP_SECONDS[step]


@given(hours, steps, modes, minimums, ways)
def test_rounding_twice_is_rounding_once(
    raw: Decimal, step: Rounding, mode: RoundingMode, minimum: Decimal, below: BelowMinimum
) -> None:
    """Billed hours that are read back and rounded again stay what they are."""
    billed = round_hours(raw, step, mode, minimum, below)
    assume(billed)
    assert billed is not None
    assert round_hours(billed, step, mode, minimum, below) == billed


@given(hours, steps, modes, minimums, ways)
def test_billed_hours_are_whole_steps(
    raw: Decimal, step: Rounding, mode: RoundingMode, minimum: Decimal, below: BelowMinimum
) -> None:
    """Every result is a multiple of the step."""
    billed = round_hours(raw, step, mode, minimum, below)
    assert hours_to_seconds(billed or Decimal(0)) % STEP_SECONDS[step] == 0


@given(st.tuples(hours, hours), steps, modes, minimums, ways)
def test_more_work_is_never_billed_less(
    pair: tuple[Decimal, Decimal], step: Rounding, mode: RoundingMode, minimum: Decimal, below: BelowMinimum
) -> None:
    """The order of two pieces of work survives every rule."""
    less, more = sorted(pair)
    low, high = (round_hours(raw, step, mode, minimum, below) or Decimal(0) for raw in (less, more))
    assert low <= high
