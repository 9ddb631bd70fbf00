"""The ways in which a body may have looked before something on its way read it and wrote it again; pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class _Style:
    """How JSON is written."""

    is_compact: bool
    is_ascii: bool
    is_sorted: bool
    escapes_slashes: bool

    @property
    def told(self) -> str:
        """The style in words."""
        parts = (
            (self.is_compact, "without blanks"),
            (not self.is_compact, "with blanks"),
            (self.is_ascii, "as ASCII"),
            (self.is_sorted, "keys sorted"),
            (self.escapes_slashes, "slashes escaped"),
        )
        return ", ".join(text for is_so, text in parts if is_so)


class _Number(str):
    """A number as it was written: 4.50 is not 4.5 for a signature."""

    __slots__ = ()


def rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    """What was done to the body, and what it was before, for every way that is known."""
    yield "a line end was added", body.rstrip(b"\r\n")
    yield "a line end was removed", body + b"\n"
    yield "a line end was removed", body + b"\r\n"
    yield "its line ends became CRLF", body.replace(b"\r\n", b"\n")
    yield "its CRLF became plain line ends", body.replace(b"\n", b"\r\n")
    yield "a byte order mark was added", body.removeprefix(_BYTE_ORDER_MARK)
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_float=_Number, parse_int=_Number, parse_constant=_Number)
        for style in (_Style(*choices) for choices in product((False, True), repeat=4)):
            text = _written(value, style)
            yield f"it was read and written again (it was sent {style.told})", text.encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return


def _written(value: Any, style: _Style) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, dict):
        members = sorted(value.items()) if style.is_sorted else value.items()
        colon = ":" if style.is_compact else ": "
        return (
            "{" + _joined((f"{_text(name, style)}{colon}{_written(one, style)}" for name, one in members), style) + "}"
        )
    if isinstance(value, list):
        return "[" + _joined((_written(one, style) for one in value), style) + "]"
    return _text(value, style) if isinstance(value, str) else json.dumps(value)


def _joined(parts: Iterator[str], style: _Style) -> str:
    return ("," if style.is_compact else ", ").join(parts)


def _text(text: str, style: _Style) -> str:
    quoted = json.dumps(text, ensure_ascii=style.is_ascii)
    return quoted.replace("/", "\\/") if style.escapes_slashes else quoted
