"""Requests and answers as JSON: no number passes through a float."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.clients.http.json_codec import read_json, write_json

_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**14), max_value=10**14))
def test_decimals_are_written_digit_by_digit(value: Decimal) -> None:
    """What is sent is the decimal's own text, with its own scale and without an exponent."""
    assert write_json(value).decode() == format(value, "f")


@given(_values)
def test_what_is_written_is_read_back(value: object) -> None:
    """Every value that we can send reads back as itself, and any JSON reader understands it."""
    written = write_json(value)
    assert read_json(written) == value
    json.loads(written)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.1") + Decimal("0.2"), b"0.3"),
        (Decimal("75.00"), b"75.00"),
        (Decimal("1E+2"), b"100"),
        (Decimal("1E-7"), b"0.0000001"),
        (Decimal("-0.005"), b"-0.005"),
        (Decimal("9E+999999"), b"9E+999999"),
        (10**300, b"1" + b"0" * 300),
        (True, b"true"),
        ("a\u2028b \U0001f680", rb'"a\u2028b \ud83d\ude80"'),
        ((1, [2]), b"[1,[2]]"),
        ({1: None}, b'{"1":null}'),
    ],
)
def test_known_forms(value: object, text: bytes) -> None:
    """Sums stay exact, huge exponents stay short, texts are pure ASCII, tuples are lists."""
    assert write_json(value) == text


def test_lone_surrogates_are_replaced() -> None:
    """PHP refuses a body with a lone surrogate and then creates an empty record: it must not be sent."""
    assert json.loads(write_json({"description": "a\ud83d b \ude80"})) == {"description": "a\ufffd b \ufffd"}


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", object()])
def test_what_is_no_json_is_refused(value: object) -> None:
    """A float is a mistake of ours, not something to be rounded."""
    with pytest.raises(TypeError, match="cannot be sent as JSON"):
        write_json({"rate": value})


def test_a_decimal_that_is_no_number_is_refused() -> None:
    """Infinity and NaN have no JSON."""
    with pytest.raises(ValueError, match="NaN"):
        write_json(Decimal("NaN"))


def test_answers_are_read_exactly() -> None:
    """Fractions are decimals, huge numbers stay whole, NaN is a text that a mapping will refuse by name."""
    body = b'{"a": 0.30000000000000004, "b": ' + b"9" * 5000 + b', "c": NaN, "d": 4}'
    answer = read_json(body)
    assert answer["a"] == Decimal("0.30000000000000004")
    assert answer["b"] == Decimal("9" * 5000)
    assert answer["c"] == "NaN"
    assert type(answer["d"]) is int
