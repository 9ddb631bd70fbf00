"""Numbers that may be meant in two ways."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.values.numbers import read_number, two_readings


@given(st.text(alphabet="+-0123456789.,", max_size=9) | st.decimals(0, 10**6, places=3).map(str))
def test_what_has_one_reading_is_read_so(text: str) -> None:
    """A text is either no number, or has two readings that differ by a thousand, or exactly one."""
    number, readings = read_number(text), two_readings(text)
    if readings is not None:
        assert number is not None
        assert readings[0] == 1000 * readings[1] == 1000 * abs(number)
    elif number is not None and 1 <= abs(number) < 1000:
        assert len(text.replace(",", ".").partition(".")[2]) != 3 or text.lstrip("+-").startswith("0")


@pytest.mark.parametrize(
    "value", [1.234, Decimal("1.200"), 1200, None, True, ["1.200"], "1200.125", "1.2", "1.2000", "0.125", "00.125"]
)
def test_one_reading(value: Any) -> None:
    """Numbers of JSON, other lengths, and what begins with 0 are not in doubt."""
    assert two_readings(value) is None
