"""Texts that people typed do nothing on an invoice, and fit into Invoice Ninja's columns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.values.text import LONGEST_COLUMN, fitting, inert

JOINER = "\u2060"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("Fix List<String> for :YEAR report", "Fix List<|String> for :|YEAR report"),
        ("12:YEARS, a:MONTHb, ::WEEK", "12:|YEARS, a:|MONTHb, ::|WEEK"),
        ("$invoice.number ${x} $5", "$|invoice.number $|{x} $5"),
        ("</b> <!-- <?php <3", "<|/b> <|!-- <|?php <3"),
        ("at 12:30, c:month, a < b", "at 12:30, c:month, a < b"),
    ],
)
def test_reserved_words_variables_and_markup(typed: str, shown: str) -> None:
    """A sign without width keeps them apart; times, prices and comparisons stay as they are."""
    assert inert(typed) == shown.replace("|", JOINER)


@given(st.text())
def test_nothing_else_changes(text: str) -> None:
    """Without that sign the text is the one that was typed, and a second look finds nothing left to do."""
    assert inert(text).replace(JOINER, "") == text.replace(JOINER, "")
    assert inert(inert(text)) == inert(text)
    assert not re.search(r":[A-Z]|<[A-Za-z/]", inert(text))


@given(st.text(alphabet="aé\u20ac\U0001f600", max_size=3))
def test_what_is_too_long_is_cut_between_two_characters(end: str) -> None:
    """Invoice Ninja cuts at 65,535 bytes, in the middle of a character: we cut before that, and show it."""
    text = "\u20ac" * 21_845 + end
    cut = fitting(text)
    assert len(cut.encode()) <= LONGEST_COLUMN
    assert cut == text if not end else cut.endswith("\N{HORIZONTAL ELLIPSIS}")
