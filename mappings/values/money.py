"""Money between Stripe's minor units (integers) and amounts that people and Invoice Ninja read (Decimal).

The number of decimals comes from Stripe's own table and from nowhere else: ISO 4217, CLDR (Babel, ICU) and Invoice
Ninja's table are wrong for HUF, TWD, ISK, UGX, MGA and the three-decimal currencies (docs/facts/stripe.md section 7).
All arithmetic is exact: no float, no rounding, no decimal context.
"""

import re
from decimal import Decimal
from typing import Final, Literal

MoneyReason = Literal["bad_currency", "doubtful_currency", "bad_amount", "too_precise", "not_representable"]

ZERO_DECIMALS: Final = frozenset(
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"]
)
THREE_DECIMALS: Final = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
# Stripe writes them with two decimals that must be 00, though nobody has such coins.
WHOLE_UNITS_IN_CENTS: Final = frozenset({"ISK"})
# Stripe's documentation contradicts itself: in the list of zero decimals and in the list of whole units in cents.
DOUBTFUL: Final = frozenset({"UGX"})

_CURRENCY: Final = re.compile(r"[A-Za-z]{3}", re.ASCII)
_MINOR_PER_WHOLE_UNIT: Final = 100
_SMALLEST_THREE_DECIMAL_STEP: Final = 10


class MoneyError(ValueError):
    """This amount cannot be taken over; `reason` is a stable word, `hint` says what a person should do."""

    def __init__(self, reason: MoneyReason, message: str, hint: str) -> None:
        super().__init__(message)
        self.reason: MoneyReason = reason
        self.hint = hint


def exponent(currency: str) -> int:
    """How many of the last digits of an amount in Stripe's API are decimals: 0, 2 or 3.

    Raises:
        MoneyError: `bad_currency` for what is no currency code, `doubtful_currency` for UGX.
    """
    code = currency_code(currency)
    if code in DOUBTFUL:
        raise MoneyError(
            "doubtful_currency",
            f"Stripe's documentation contradicts itself on the decimals of {code}",
            "Enter this payment in Invoice Ninja by hand, with the amount that Stripe's dashboard shows.",
        )
    if code in ZERO_DECIMALS:
        return 0
    return 3 if code in THREE_DECIMALS else 2


def currency_code(currency: str) -> str:
    """The upper-case three-letter code.

    Raises:
        MoneyError: `bad_currency`.
    """
    if not _CURRENCY.fullmatch(currency):
        raise MoneyError("bad_currency", f"{currency!r} is no currency code", "Look at the payment in Stripe.")
    return currency.upper()


def to_major(minor: int, currency: str) -> Decimal:
    """The amount that people read: 12345 EUR is 123.45, 5000 JPY is 5000, 12340 KWD is 12.340, 50000 ISK is 500.

    Raises:
        MoneyError: the currency is doubtful, or Stripe cannot charge the amount in this currency.
    """
    if type(minor) is not int:
        raise MoneyError("bad_amount", f"{minor!r} is no amount in minor units", "Look at the payment in Stripe.")
    places = exponent(currency)
    code = currency_code(currency)
    if code in WHOLE_UNITS_IN_CENTS:
        return Decimal(_whole_units(minor, code))
    if code in THREE_DECIMALS:
        _demand_multiple(minor, _SMALLEST_THREE_DECIMAL_STEP, code)
    return _shifted(minor, places)


def to_minor(amount: Decimal, currency: str) -> int:
    """The integer Stripe expects for an amount: the inverse of `to_major`.

    Raises:
        MoneyError: `too_precise` when the amount has more decimals than Stripe takes, or as in `to_major`.
    """
    if not amount.is_finite():
        raise MoneyError("bad_amount", f"{amount!r} is no amount of money", "Give a plain decimal number.")
    places = exponent(currency)
    code = currency_code(currency)
    allowed = {3: 2}.get(places, places) if code not in WHOLE_UNITS_IN_CENTS else 0
    if decimals(amount) > allowed:
        raise MoneyError(
            "too_precise",
            f"{amount} {code} has more than the {allowed} decimals that Stripe takes",
            "Round the amount of the invoice.",
        )
    sign, digits, shift = amount.as_tuple()
    return int(Decimal((sign, digits, int(shift) + places)))


def fits_precision(amount: Decimal, precision: int) -> bool:
    """Whether Invoice Ninja can hold this amount without rounding; `precision` is its number of decimals."""
    return amount.is_finite() and decimals(amount) <= precision


def decimals(amount: Decimal) -> int:
    """How many decimals the amount needs: 12.340 needs 2, 500 needs 0."""
    _, digits, shift = amount.as_tuple()
    places = -int(shift)
    for digit in reversed(digits):
        if places <= 0 or digit:
            break
        places -= 1
    return max(places, 0) if any(digits) else 0


def _whole_units(minor: int, code: str) -> int:
    _demand_multiple(minor, _MINOR_PER_WHOLE_UNIT, code)
    return minor // _MINOR_PER_WHOLE_UNIT


def _demand_multiple(minor: int, step: int, code: str) -> None:
    if minor % step:
        raise MoneyError(
            "not_representable",
            f"{minor} is no amount Stripe can charge in {code}: it must be a multiple of {step}",
            "Look at the payment in Stripe; enter it in Invoice Ninja by hand.",
        )


def _shifted(minor: int, places: int) -> Decimal:
    """`minor` with its last `places` digits as decimals, exactly, whatever the decimal context says."""
    return Decimal((int(minor < 0), tuple(int(digit) for digit in str(abs(minor))), -places))


def money(minor: int, currency: str | None) -> str:
    """An amount in minor units as people read it; one that cannot be read stays as Stripe sent it."""
    code = (currency or "?").upper()
    try:
        return f"{to_major(minor, code)} {code}"
    except MoneyError:
        return f"{minor} minor units of {code}"
