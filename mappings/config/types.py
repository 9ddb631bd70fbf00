"""The kinds of values that mappings.json is made of, strict: a number is a number, a text is a text."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from mappings.errors import shown
from mappings.values.numbers import both_readings, two_readings

MAX_RATE = 10**9
"""Dearer than any hour in any currency (an Iranian rial is about 1/40,000 of a euro)."""

_TERMS = re.compile(r"due_on_receipt|eom|net(\d{1,3})", re.ASCII)
_MAX_NET_DAYS = 365


class Part(BaseModel):
    """Base of every part of the file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _wrong(problem: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("mapping", "{problem}", {"problem": problem, "hint": hint})


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _wrong(f"must be a number, not {shown(value)}", "write it without quotes and with a point, such as 75.50")
    return value


def _one_reading(value: Any) -> Any:
    """A percentage cannot be thousands: 8.875 has one reading there."""
    readings = two_readings(str(_number(value)))
    if readings is not None:
        thousands, decimals = readings
        hint = f"write {thousands}, or {decimals}0 for the smaller one"
        raise _wrong(f"{value} may be meant in two ways: {both_readings(*readings)}", hint)
    return value


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise _wrong(
            f"{shown(name)} is not a time zone", "write an IANA name such as Europe/Brussels, America/New_York or UTC"
        ) from error
    return name


def _payment_terms(text: str) -> str:
    found = _TERMS.fullmatch(text)
    if found is None or int(found[1] or 0) > _MAX_NET_DAYS:
        raise _wrong(
            f"{shown(text)} is not a payment term",
            "write due_on_receipt, eom (end of the month) or net and a number of days up to 365, such as net30",
        )
    return text


def _iso_date(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise _wrong(f"{shown(text)} is not a date", "write it as 2025-01-06") from error


def _not_blank(text: str) -> str:
    if not text or text != text.strip() or not text.isprintable():
        raise _wrong("must be a text without blanks around it or control characters", "remove the blanks or fill it in")
    return text


def _not_one_letter(name: str) -> str:
    if len(name) == 1:
        raise _wrong("is one letter, and Invoice Ninja ignores such a tax", "write a longer name")
    return name


def _number_schema(**limits: float) -> WithJsonSchema:
    return WithJsonSchema({"type": "number", **limits})


Name = Annotated[StrictStr, Field(max_length=200), AfterValidator(_not_blank)]
TaxName = Annotated[Name, AfterValidator(_not_one_letter)]
"""The name of a tax; Invoice Ninja ignores a tax whose name is one letter."""

Attribute = Annotated[StrictStr, Field(max_length=64), AfterValidator(_not_blank)]
"""The display name of a Taiga custom attribute: at most 64 characters (docs/facts/taiga.md section 4)."""
Identifier = Annotated[StrictStr, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""An id of Invoice Ninja, such as VolejRejNm."""
Notes = Annotated[StrictStr, Field(max_length=5000)]

Rate = Annotated[
    Decimal,
    BeforeValidator(_one_reading),
    Field(gt=0, le=MAX_RATE, decimal_places=2),
    _number_schema(exclusiveMinimum=0),
]
"""Money per hour in the client's currency; two decimals, as invoice lines carry them."""
Hours = Annotated[
    Decimal, BeforeValidator(_one_reading), Field(ge=0, le=100_000, decimal_places=4), _number_schema(minimum=0)
]
Amount = Annotated[
    Decimal, BeforeValidator(_one_reading), Field(ge=0, le=10**12, decimal_places=3), _number_schema(minimum=0)
]
Percent = Annotated[
    Decimal,
    BeforeValidator(_number),
    Field(ge=0, le=100, decimal_places=3),
    _number_schema(minimum=0, maximum=100),
]
Day = Annotated[StrictInt, Field(ge=1, le=31)]
Hour = Annotated[StrictInt, Field(ge=0, le=23)]
IsoDate = Annotated[StrictStr, AfterValidator(_iso_date)]
CurrencyCode = Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")]
"""An ISO code such as EUR."""
TaigaId = Annotated[StrictInt, Field(ge=1, lt=2**63)]
TimeZone = Annotated[StrictStr, AfterValidator(_time_zone)]
PaymentTerms = Annotated[StrictStr, AfterValidator(_payment_terms)]
