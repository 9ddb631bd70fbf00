"""Texts that people typed, made fit for one line of an invoice, a log or a database."""

import re
import unicodedata

_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_ZERO_WIDTH = {"\u200b", "\ufeff"}
_DIRECTIONS = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}
"""Embeddings, overrides and isolates: a line with them reads other than it is."""


def one_line(text: str) -> str:
    """Control characters, lone surrogates and every run of blanks (U+2028 too) folded to one blank, ends trimmed.

    Emoji with their joiners stay as they are.
    """
    return " ".join("".join(" " if _is_gap(char) else char for char in text).split())


_ACTIVE = re.compile(r":(?=[A-Z])|\$(?=[^\W\d_]|\{)|<(?=[A-Za-z/!?])")
_WORD_JOINER = "\u2060"


def inert(text: str) -> str:
    """The text with a sign of no width where Invoice Ninja would see a reserved word, a variable or markup.

    It fills in `:YEAR` and `$invoice.number` and renders `<b>` on the lines of an invoice, and shows entities as they
    are typed (docs/facts/invoice-ninja-2.md section 3).
    """
    return _ACTIVE.sub(lambda found: found[0] + _WORD_JOINER, text)


LONGEST_COLUMN = 65_535
"""Bytes that a text column of Invoice Ninja holds; the rest is cut off silently (docs/facts/invoice-ninja-2.md)."""


def fitting(text: str) -> str:
    """The text, cut between two characters where it is longer than a text column, with an ellipsis."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= LONGEST_COLUMN:
        return text
    ellipsis = "\N{HORIZONTAL ELLIPSIS}"
    return encoded[: LONGEST_COLUMN - len(ellipsis.encode())].decode("utf-8", "ignore") + ellipsis


def _is_gap(char: str) -> bool:
    return char in _ZERO_WIDTH or char in _DIRECTIONS or unicodedata.category(char) in _NO_TEXT


def shortened(text: str, length: int) -> str:
    """The text cut to `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
