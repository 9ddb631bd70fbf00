"""The pure parts of the sandbox Invoice Ninja: ids, sums, time logs, comparison of numbers."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.lab.sandbox.invoiceninja import timelog, totals
from middleware.lab.sandbox.invoiceninja.app import decoded
from middleware.lab.sandbox.invoiceninja.call import RefusedError
from middleware.lab.sandbox.invoiceninja.hashids import encode
from middleware.lab.sandbox.invoiceninja.shapes import INVOICE
from middleware.lab.sandbox.invoiceninja.values import collated, decimal, moment, number

cents = st.integers(min_value=0, max_value=10_000_000).map(lambda value: number(Decimal(value) / 100))
rates = st.sampled_from([0, 5.5, 7, 19, 21])
quantities = st.integers(min_value=0, max_value=400_000).map(lambda value: number(Decimal(value) / 1000))
lines = st.lists(st.fixed_dictionaries({"quantity": quantities, "cost": cents, "tax_rate1": rates}), max_size=6)


def sums(line_items: list[dict[str, Any]], **document: Any) -> dict[str, Any]:
    """Compute a document in a currency with two decimals."""
    clean = [totals.clean_line(line, is_amount_discount=False) for line in line_items]
    return totals.computed({**INVOICE, "is_amount_discount": False, **document, "line_items": clean}, 2)


@given(lines)
def test_amount_is_rounded_lines_plus_rounded_taxes(given_lines: list[dict[str, Any]]) -> None:
    """Every line and its tax is rounded alone, and the amount is the sum of them."""
    result = sums(given_lines)
    expected = Decimal(0)
    for line in given_lines:
        total = round_cents(decimal(line["quantity"]) * decimal(line["cost"]))
        expected += total + round_cents(total * decimal(line["tax_rate1"]) / 100)
    assert decimal(result["amount"]) == expected


def round_cents(value: Decimal) -> Decimal:
    """Round half up to cents, written apart from the code under test."""
    return Decimal(int(value * 100 + Decimal("0.5"))) / 100


@given(lines)
def test_inclusive_taxes_never_change_the_amount(given_lines: list[dict[str, Any]]) -> None:
    """With inclusive taxes the amount is what the lines say; the taxes are part of it."""
    result = sums(given_lines, uses_inclusive_taxes=True)
    untaxed = sums([{**line, "tax_rate1": 0} for line in given_lines])
    assert result["amount"] == untaxed["amount"]
    assert 0 <= result["total_taxes"] <= result["amount"]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**5)), max_size=8), st.randoms(use_true_random=False))
def test_time_logs_do_not_depend_on_the_order(gaps: list[tuple[int, int]], random: Any) -> None:
    """Entries laid out one after the other are accepted in any order and stored sorted, with their whole length."""
    entries, clock = [], 1_700_000_000
    for gap, length in gaps:
        entries.append([clock + gap, clock + gap + length])
        clock += gap + length
    shuffled = random.sample(entries, len(entries))
    parsed = timelog.parse(json.dumps(shuffled))
    assert parsed == entries
    assert timelog.seconds(parsed) == sum(length for _, length in gaps)
    assert timelog.load(timelog.dump(parsed)) == entries


@pytest.mark.parametrize(("up", "end"), [(True, 1800), (False, 900)])
def test_time_logs_are_rounded_by_their_length(*, up: bool, end: int) -> None:
    """Rounding moves the end of finished entries and keeps description and billable mark."""
    entries: list[timelog.Entry] = [[0, 901, "x", True], [2000, 0]]
    assert timelog.rounded(entries, 900, up=up) == [[0, end, "x", True], [2000, 0]]
    assert timelog.rounded(entries, 1, up=up) == entries


def test_an_open_entry_must_be_the_last() -> None:
    """A running entry before another one overlaps it."""
    with pytest.raises(RefusedError) as refused:
        timelog.parse("[[100,0],[200,300]]")
    assert refused.value.status == 422


def test_ids_are_distinct_and_ten_characters_long() -> None:
    """No two of many rows share an id."""
    ids = {encode(key) for key in range(1, 5000)}
    assert len(ids) == 4999
    assert {len(row_id) for row_id in ids} == {10}


@pytest.mark.parametrize("other", ["taiga-ä", "TAIGA-A", "Taiga-Á  "])
def test_numbers_compare_without_case_accents_and_trailing_spaces(other: str) -> None:
    """The database takes these for the same number."""
    assert collated(other) == collated("taiga-a")


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": " x ", "b": ""}', {"a": "x", "b": None}),
        ("application/json", b'{"a": ', {}),
        ("application/json", b'[{"a": 1}]', {}),
        ("text/plain", b'{"a": 1}', {}),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y", {"a": "1", "b": "x y"}),
    ],
)
def test_bodies_are_read_as_the_server_does(content_type: str, body: bytes, expected: dict[str, Any]) -> None:
    """Only a JSON object or a form is a body; strings are trimmed, empty ones are null."""
    assert decoded(content_type, body) == expected


def test_moments_are_unix_seconds_or_iso() -> None:
    """Anything else is no moment, and a filter by it is ignored."""
    assert moment("2020-01-01T00:00:00Z") == moment("1577836800") == 1_577_836_800
    assert moment("soon") is None
