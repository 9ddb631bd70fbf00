"""Typed fields out of decoded JSON, and the values that messages show."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.errors import NotUnderstood, printable, shown
from mappings.values.fields import take, take_id, take_optional, take_optional_time, take_time
from mappings.values.numbers import read_number
from mappings.values.text import one_line, shortened

PAYLOAD: dict[str, Any] = {
    "data": {"status": {"is_closed": True, "name": "Closed"}, "id": 12, "big": 10**30, "none": None, "list": [1]},
    "at": "2026-11-21T07:23:53.500Z",
}


def test_fields_are_taken_by_their_path() -> None:
    """A value of the right type is given back as it is."""
    assert take(PAYLOAD, "data.status.is_closed", bool) is True
    assert take(PAYLOAD, "data.status.name", str) == "Closed"
    assert take(PAYLOAD, "data.big", int) == 10**30
    assert take(PAYLOAD, "data.list", list) == [1]
    assert take_optional(PAYLOAD, "data.id", int) == 12
    assert take_id(PAYLOAD, "data.id") == 12


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("nope", str, "nope: is missing"),
        ("data.status.closed", bool, "data.status.closed: is missing"),
        ("data.nope.deeper", str, "data.nope: is missing"),
        ("data.none", str, "data.none: is null"),
        ("data.none.deeper", str, "data.none: must be an object, not null"),
        ("data.id.deeper", str, "data.id: must be an object, not 12"),
        ("data.id", str, "data.id: must be a text, not 12"),
        ("data.id", bool, "data.id: must be true or false, not 12"),
        ("data.status.is_closed", int, "data.status.is_closed: must be a whole number, not true"),
        ("data.status.name", int, 'data.status.name: must be a whole number, not "Closed"'),
        ("data.list", dict, "data.list: must be an object, not a list of 1 values"),
        ("data.status", list, "data.status: must be a list, not an object with 2 keys"),
    ],
)
def test_what_does_not_fit_names_its_path(path: str, kind: type, message: str) -> None:
    """The message leads to the first place that has another shape."""
    with pytest.raises(NotUnderstood) as caught:
        take(PAYLOAD, path, kind)
    assert str(caught.value) == message


@pytest.mark.parametrize("path", ["nope", "nope.deeper", "data.none", "data.none.deeper"])
def test_optional_fields_may_be_absent(path: str) -> None:
    """Missing and null are the same where a field is optional."""
    assert take_optional(PAYLOAD, path, str) is None
    assert take_optional_time(PAYLOAD, path) is None


def test_optional_fields_still_have_a_type() -> None:
    """A value that is there must be what it should be."""
    with pytest.raises(NotUnderstood, match=r"data\.id: must be a text"):
        take_optional(PAYLOAD, "data.id", str)


@pytest.mark.parametrize("value", [0, -1, 2**63, pytest.param(10**5000, id="5000 digits")])
def test_ids_are_positive_and_fit_a_database(value: int) -> None:
    """A number that no database would take is not an id."""
    with pytest.raises(NotUnderstood, match="is not an id"):
        take_id({"id": value}, "id")


@pytest.mark.parametrize("text", ["2026-11-21T07:23:53.500Z", "2026-11-21T08:23:53.500+01:00"])
def test_times_are_utc(text: str) -> None:
    """Every offset leads to the same moment in UTC."""
    expected = datetime(2026, 11, 21, 7, 23, 53, 500_000, UTC)
    assert take_time({"at": text}, "at") == expected
    moment = take_optional_time({"at": text}, "at")
    assert moment is not None
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("soon", "is not a time"),
        ("", "is not a time"),
        ("2026-13-01T00:00:00Z", "is not a time"),
        ("0001-01-01T00:00:00+14:00", "is not a time"),
        ("2026-11-21T07:23:53", "has no time zone"),
        ("2026-11-21", "has no time zone"),
    ],
)
def test_times_without_an_offset_are_refused(text: str, problem: str) -> None:
    """A local time could be any of 26 hours."""
    with pytest.raises(NotUnderstood, match=problem):
        take_time({"at": text}, "at")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["a", "a.b", "a.b.a"]), st.sampled_from([bool, int, str, dict, list]))
def test_any_payload_is_taken_or_not_understood(payload: Any, path: str, kind: type[object]) -> None:
    """No shape of JSON leads to a KeyError or TypeError."""
    try:
        value = take(payload, path, kind)
    except NotUnderstood:
        return
    assert type(value) is kind


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        (Decimal("1.50"), "1.50"),
        ("a\nb\u2028c\ud800", "a b c "),
        ("x" * 81, "x" * 77 + "..."),
        ("x" * 80, "x" * 80),
        ((1, 2), "a list of 2 values"),
        ({"a": 1}, "an object with 1 keys"),
        pytest.param(10**5000, "a number of about 4983 digits", id="5000 digits"),
        (123456789012345678901234567890, "123456789012345678901234567890"),
        (object(), "object"),
    ],
)
def test_values_are_shown_short_and_printable(value: Any, text: str) -> None:
    """Whatever stands in a message fits one line of a log."""
    assert printable(value) == text


def test_texts_are_shown_with_quotes() -> None:
    """A quoted number can be told from a number."""
    assert (shown("75"), shown(75)) == ('"75"', "75")


def test_not_understood_without_a_path() -> None:
    """A payload that is wrong as a whole has no path."""
    with pytest.raises(NotUnderstood) as caught:
        take([], "a", str)
    assert str(caught.value) == "must be an object, not a list of 0 values"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" a \t b\r\nc ", "a b c"),
        ("a\u2028b\u2029c\x00d\x7fe", "a b c d e"),
        ("a\ud800b", "a b"),
        ("\u200ba\ufeff", "a"),
        ("👩\u200d💻 李 é", "👩\u200d💻 李 é"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    """Line breaks and control characters become blanks, people's letters and emoji stay."""
    assert one_line(text) == line


def test_shortened() -> None:
    """A long text ends in an ellipsis and has exactly the allowed length at most."""
    assert shortened("abc", 3) == "abc"
    assert shortened("abcd", 3) == "ab…"
    assert shortened("a bcd", 3) == "a…"


def test_floats_are_read_as_written() -> None:
    """One tenth is one tenth."""
    assert read_number(0.1) == Decimal("0.1")
