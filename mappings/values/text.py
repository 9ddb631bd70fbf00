"""Texts that people typed, made fit for one line of an invoice, a log or a database."""

import unicodedata

_NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
_ZERO_WIDTH = {"\u200b", "\ufeff"}


def one_line(text: str) -> str:
    """Control characters, lone surrogates and every run of blanks (U+2028 too) folded to one blank, ends trimmed.

    Emoji with their joiners stay as they are.
    """
    return " ".join("".join(" " if _is_gap(char) else char for char in text).split())


def _is_gap(char: str) -> bool:
    return char in _ZERO_WIDTH or unicodedata.category(char) in _NO_TEXT


def shortened(text: str, length: int) -> str:
    """The text cut to `length` characters, with an ellipsis where it was cut."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
