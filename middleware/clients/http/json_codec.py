"""JSON as the remote systems must get and give it: no number ever passes through a float."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any

_LONGEST_INT = 4300
"""Digits that `int()` accepts (CVE-2020-10735); longer ones are kept as `Decimal`."""

_PLAIN_EXPONENT = 64
"""Up to this power of ten a Decimal is written out; beyond it as 1E+400, so that no value can fill the memory."""


def read_json(body: bytes) -> Any:
    """Decode an answer: fractions become `Decimal`, whole numbers `int`, NaN and Infinity their names as text.

    Raises:
        ValueError: the body is not JSON in UTF-8.
    """
    return _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))


def write_json(value: Any) -> bytes:
    """Encode a request as pure ASCII; a `Decimal` keeps its own scale (`Decimal("75.00")` is written 75.00).

    Lone surrogates are replaced: PHP refuses a body that holds one and then creates an EMPTY record
    (docs/facts/invoice-ninja.md section 1).

    Raises:
        TypeError: a float, or anything else that JSON does not know.
        ValueError: a Decimal that is not a number.
    """
    return _encode(value).encode("ascii")


def _whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) <= _LONGEST_INT else Decimal(digits)


# Made once: `json.loads` with these arguments would make one for each answer.
_DECODER = json.JSONDecoder(parse_float=Decimal, parse_int=_whole, parse_constant=str)


def _encode(value: Any) -> str:
    if isinstance(value, str):
        whole = value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return encode_basestring_ascii(whole)
    if value is None or isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_encode(str(key))}:{_encode(member)}" for key, member in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "[" + ",".join(map(_encode, value)) + "]"
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON; money and hours are Decimal")


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is not a JSON number")
    written_out = abs(value.adjusted()) <= _PLAIN_EXPONENT
    return format(value, "f") if written_out else str(value)
