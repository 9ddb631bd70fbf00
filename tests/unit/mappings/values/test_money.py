"""Amounts between Stripe's integers and decimal money."""

from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.values.money import MoneyError, decimals, exponent, fits_precision, to_major, to_minor


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (12345, "eur", "123.45"),
        (5, "usd", "0.05"),
        (0, "eur", "0.00"),
        (5000, "jpy", "5000"),
        (12340, "kwd", "12.340"),
        (1234500, "huf", "12345.00"),
        (50000, "isk", "500"),
        (80000, "TWD", "800.00"),
        (700, "mga", "700"),
        (10**15, "eur", "10000000000000.00"),
        (-250, "eur", "-2.50"),
    ],
)
def test_amount_reads_as_in_stripes_table(minor: int, currency: str, major: str) -> None:
    """The traps of ISO 4217, CLDR and Invoice Ninja do not decide; Stripe's table does."""
    assert str(to_major(minor, currency)) == major
    assert to_minor(Decimal(major), currency) == minor


@pytest.mark.parametrize(
    ("minor", "currency", "reason"),
    [
        (1000000, "ugx", "doubtful_currency"),
        (50050, "isk", "not_representable"),
        (12345, "kwd", "not_representable"),
        (100, "euro", "bad_currency"),
        (100, "", "bad_currency"),
        (100, "é€r", "bad_currency"),
        (True, "eur", "bad_amount"),
        (1.5, "eur", "bad_amount"),
    ],
)
def test_amount_that_cannot_be_held_goes_to_a_person(minor: int, currency: str, reason: str) -> None:
    """No rounding and no guess: the error says what to do."""
    with pytest.raises(MoneyError) as caught:
        to_major(minor, currency)
    assert caught.value.reason == reason
    assert caught.value.hint


@pytest.mark.parametrize(
    ("amount", "currency", "reason"),
    [
        ("1.234", "eur", "too_precise"),
        ("1.5", "jpy", "too_precise"),
        ("5.124", "kwd", "too_precise"),
        ("5.5", "isk", "too_precise"),
        ("NaN", "eur", "bad_amount"),
        ("Infinity", "eur", "bad_amount"),
    ],
)
def test_amount_stripe_would_refuse(amount: str, currency: str, reason: str) -> None:
    """An amount finer than Stripe's table is refused before it is sent."""
    with pytest.raises(MoneyError) as caught:
        to_minor(Decimal(amount), currency)
    assert caught.value.reason == reason


@given(st.integers(-(10**30), 10**30), st.sampled_from(["eur", "usd", "jpy", "huf", "twd", "krw"]))
def test_there_and_back_is_exact_in_any_decimal_context(minor: int, currency: str) -> None:
    """No digit is lost, however small the precision of the caller's decimal context."""
    with localcontext() as context:
        context.prec = 3
        assert to_minor(to_major(minor, currency), currency) == minor


@given(st.integers(0, 10**12))
def test_special_steps_are_kept(minor: int) -> None:
    """Three-decimal currencies and ISK take only their own steps."""
    assert to_minor(to_major(minor * 10, "bhd"), "bhd") == minor * 10
    assert to_minor(to_major(minor * 100, "isk"), "isk") == minor * 100


@pytest.mark.parametrize(
    ("amount", "precision", "fits"),
    [
        ("12.340", 2, True),
        ("12.345", 2, False),
        ("500", 0, True),
        ("1E+3", 0, True),
        ("0.00", 0, True),
        ("NaN", 2, False),
    ],
)
def test_precision_counts_only_decimals_that_matter(amount: str, precision: int, fits: bool) -> None:
    """Trailing zeros need no precision."""
    assert fits_precision(Decimal(amount), precision) is fits


def test_decimals_of_zero_and_exponents() -> None:
    """Zero needs no decimals; every currency not named has two."""
    assert decimals(Decimal("0.000")) == 0
    assert decimals(Decimal("1.050")) == 2
    assert [exponent(code) for code in ("jpy", "kwd", "eur", "xyz")] == [0, 3, 2, 2]
