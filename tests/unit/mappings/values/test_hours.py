"""Hours and checkboxes as people type them."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.errors import BadInput
from mappings.values.hours import hours_to_seconds, parse_checkbox, parse_hours, seconds_to_hours

seconds = st.integers(min_value=0, max_value=1000 * 3600)


@pytest.mark.parametrize(
    ("typed", "hours"),
    [
        (4, "4"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.5"),
        (0, "0"),
        (-0.0, "0"),
        (0.30000000000000004, "0.3"),
        (0.333, "0.3331"),
        ("1.5", "1.5"),
        ("1,5", "1.5"),
        (".5", "0.5"),
        (",25", "0.25"),
        ("2.", "2"),
        ("+2", "2"),
        ("1.500", "1.5"),
        ("1,001 h", "1.0011"),
        ("0,125", "0.125"),
        ("0.125 h", "0.125"),
        ("60.001 m", "1"),
        ("1h", "1"),
        ("1 h", "1"),
        ("1,5 h", "1.5"),
        ("2 hours", "2"),
        ("3 hrs", "3"),
        ("1h30", "1.5"),
        ("1h30m", "1.5"),
        ("1 h 30 min", "1.5"),
        ("1H30", "1.5"),
        ("1h5", "1.0833"),
        ("90m", "1.5"),
        ("90 min", "1.5"),
        ("7,5 minutes", "0.125"),
        ("1:30", "1.5"),
        ("0:01", "0.0167"),
        ("  1.5\t", "1.5"),
        ("1.5\u00a0h", "1.5"),
        ("1\u202fh\u200930", "1.5"),
        ("\ufeff1.5\u200b", "1.5"),
        ("1000", "1000"),
        (1e-300, "0"),
        ("0.0001", "0"),
    ],
)
def test_hours_are_read(typed: Any, hours: str) -> None:
    """What people write as hours is read to the second and told with at most four decimals."""
    assert str(parse_hours(typed)) == hours


@pytest.mark.parametrize("typed", [None, "", "  ", "\u00a0", "\u200b"])
def test_nothing_typed_is_none(typed: Any) -> None:
    """An empty attribute is no zero: the hours may still come."""
    assert parse_hours(typed) is None


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("about two", "this is not a number of hours"),
        ("1.000", "this may be meant in two ways: 1000 or 1.00?"),
        ("1,200 min", "this may be meant in two ways: 1200 or 1.20?"),
        ("59.999 m", "this may be meant in two ways: 59999 or 59.999?"),
        ("1.500,5", "this is not a number of hours"),
        ("1,500.5", "this is not a number of hours"),
        ("1:75", "this is not a number of hours"),
        ("1h75", "this is not a number of hours"),
        ("1:3", "this is not a number of hours"),
        ("1 5", "this is not a number of hours"),
        ("1h 30 s", "this is not a number of hours"),
        ("1e3", "this is not a number of hours"),
        ("1_000", "this is not a number of hours"),
        ("\u0661", "this is not a number of hours"),
        (".", "this is not a number of hours"),
        ("h", "this is not a number of hours"),
        ("NaN", "this is not a number of hours"),
        ("1" * 50, "this is not a number of hours"),
        ("1" * 35 + " minutes", "this is not a number of hours"),
        ([1, 2], "this is not a number of hours"),
        ({"a": 1}, "this is not a number of hours"),
        (True, "this is not a number of hours"),
        (False, "this is not a number of hours"),
        (float("nan"), "this is not a number of hours"),
        (float("inf"), "this is not a number of hours"),
        (Decimal("NaN"), "this is not a number of hours"),
        (-2, "this is negative"),
        ("-2", "this is negative"),
        ("\u22122", "this is negative"),
        (1000.01, "this is more than 1000 hours"),
        (1e300, "this is more than 1000 hours"),
        (Decimal("1E+999999"), "this is more than 1000 hours"),
        (int(1e300), "this is more than 1000 hours"),
        pytest.param(10**6000, "this is more than 1000 hours", id="6000 digits"),
        (123456789012345678901234567890, "this is more than 1000 hours"),
        ("1001h", "this is more than 1000 hours"),
        ("60001 min", "this is more than 1000 hours"),
        ("1001:00", "this is more than 1000 hours"),
    ],
)
def test_nonsense_is_refused_in_words(typed: Any, problem: str) -> None:
    """Whatever cannot be hours names the attribute, a printable short value, and what to do."""
    with pytest.raises(BadInput) as caught:
        parse_hours(typed, field="Stunden")
    assert (caught.value.field, caught.value.problem) == ("Stunden", problem)
    assert len(caught.value.value) <= 80
    assert caught.value.value.isprintable()
    assert "1:30" in caught.value.hint


def test_ceiling_is_configurable() -> None:
    """A team that books whole projects may raise the ceiling, and a careful one lower it."""
    assert parse_hours(1500, max_hours=Decimal(2000)) == 1500
    with pytest.raises(BadInput, match="more than 24 hours"):
        parse_hours("24:01", max_hours=Decimal(24))


@given(seconds)
def test_seconds_survive_the_way_to_hours_and_back(count: int) -> None:
    """Four decimals are enough to hold every second."""
    assert hours_to_seconds(seconds_to_hours(count)) == count


@given(seconds, st.sampled_from(["{}", " {} ", "{} h", "{}hours"]), st.sampled_from([".", ","]))
def test_written_hours_are_read_back(count: int, form: str, separator: str) -> None:
    """Formatted hours are read as what they were."""
    hours = seconds_to_hours(count)
    assert parse_hours(form.format(str(hours).replace(".", separator))) == hours
    assert parse_hours(float(hours)) == hours


@given(st.integers(0, 999), st.integers(0, 59))
def test_hours_and_minutes_mean_the_same_in_every_form(hours: int, minutes: int) -> None:
    """1:05, 1h05, 1h5m and 65m are one and the same."""
    forms = [
        f"{hours}:{minutes:02}",
        f"{hours}h{minutes:02}",
        f"{hours} h {minutes} min",
        f"{hours * 60 + minutes}m",
    ]
    expected = seconds_to_hours(hours * 3600 + minutes * 60)
    assert {parse_hours(form) for form in forms} == {expected}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(values)
def test_any_value_is_hours_or_bad_input(value: Any) -> None:
    """Nothing that Taiga can store makes the reader fail in another way."""
    try:
        hours = parse_hours(value)
    except BadInput:
        hours = None
    assert hours is None or 0 <= hours <= 1000


@pytest.mark.parametrize("value", [True, 1, 1.0, Decimal(1), "true", "True", "on", "yes", "Y", "1", " on "])
def test_ticked(value: Any) -> None:
    """A tick is a tick, whoever wrote it."""
    assert parse_checkbox(value)


@pytest.mark.parametrize("value", [None, False, 0, 0.0, "", " ", "false", "off", "No", "n", "0"])
def test_not_ticked(value: Any) -> None:
    """An untouched box and every way to say no."""
    assert not parse_checkbox(value)


@pytest.mark.parametrize("value", ["maybe", "2", 2, -1, 0.5, [], {}, [True], float("nan")])
def test_neither_ticked_nor_not(value: Any) -> None:
    """What is no answer is not guessed."""
    with pytest.raises(BadInput, match=r'"Billable" is .*: this is neither yes nor no'):
        parse_checkbox(value)
