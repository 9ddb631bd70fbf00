"""Texts as PostgreSQL can hold them."""

from collections.abc import Mapping
from typing import Any


def storable(text: str) -> str:
    """Replace what a PostgreSQL text cannot hold (NUL, lone surrogates) by U+FFFD; other texts pass unchanged."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")


def storable_json(value: Any) -> Any:
    """The same for every text inside decoded JSON: jsonb refuses what text refuses."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): storable_json(item) for key, item in value.items()}
    return [storable_json(item) for item in value] if isinstance(value, list | tuple) else value
