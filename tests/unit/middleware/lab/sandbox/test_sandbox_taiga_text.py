"""How the sandbox Taiga writes dates, slugs, texts and stored JSON."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.lab.sandbox.taiga import text
from middleware.lab.sandbox.taiga.webhook_log import as_jsonb, is_private

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_dates_have_milliseconds_and_z() -> None:
    """Dates are UTC with three decimals, whatever the zone they come in."""
    moment = datetime(2026, 11, 21, 8, 23, 53, 500_400, tzinfo=timezone(timedelta(hours=1)))
    assert text.iso(moment) == "2026-11-21T07:23:53.500Z"
    assert text.iso(None) is None


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_dates_are_read_back(moment: datetime) -> None:
    """What `iso` writes, `parse_moment` reads, to the millisecond."""
    moment = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    assert text.parse_moment(text.iso(moment) or "") == moment


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("", "Invoiced", '<ins style="background:#e6ffe6;">Invoiced</ins>'),
        ("# Hello", "# Hello 2", '<span># Hello</span><ins style="background:#e6ffe6;"> 2</ins>'),
        ("ab", "a", '<span>a</span><del style="background:#ffe6e6;">b</del>'),
        (
            "Implement **login**.",
            "other field",
            (
                '<del style="background:#ffe6e6;">Implement **login**.</del>'
                '<ins style="background:#e6ffe6;">other field</ins>'
            ),
        ),
        ("same", "same", "<span>same</span>"),
    ],
)
def test_text_difference(old: str, new: str, difference: str) -> None:
    """Differences look like the recorded ones."""
    assert text.text_difference(old, new) == difference


def test_markdown() -> None:
    """Comments become one escaped paragraph, blank ones nothing."""
    assert text.markdown("Implement **login**.") == "<p>Implement <strong>login</strong>.</p>"
    assert text.markdown("a < b") == "<p>a &lt; b</p>"
    assert text.markdown("   ") == ""


def test_slugs_are_free() -> None:
    """The second project of a name gets a number."""
    assert text.slugify("Acme  Wébsite!") == "acme-website"
    assert text.free_slug("acme", {"acme", "acme-1"}) == "acme-2"


@given(JSON)
def test_jsonb_keeps_the_meaning(value: Any) -> None:
    """What comes back from jsonb equals what went in; a second trip changes nothing, not even the bytes."""
    once = as_jsonb(value)
    assert once == value
    assert json.dumps(as_jsonb(once)) == json.dumps(once)


def test_jsonb_sorts_keys_by_length() -> None:
    """Keys come back by length, then by bytes, as recorded in the log of webhooks."""
    sent = dict.fromkeys(["action", "type", "by", "date", "data", "change"])
    assert list(as_jsonb(sent)) == ["by", "data", "date", "type", "action", "change"]


def test_jsonb_writes_big_numbers_out() -> None:
    """1e300 comes back as an integer of 301 digits."""
    assert len(str(as_jsonb(1e300))) == 301


@pytest.mark.parametrize(
    ("host", "private"),
    [("127.0.0.1", True), ("10.1.2.3", True), ("::1", True), ("8.8.8.8", False), ("localhost", False)],
)
def test_private_addresses(host: str, private: bool) -> None:
    """Only literal addresses are judged; names are resolved when something is sent."""
    assert is_private(host) is private
