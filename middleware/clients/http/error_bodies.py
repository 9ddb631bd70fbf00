"""Reads what a server says when it refuses: every recorded shape of error body (facts, section 1 and 7).

Texts are for people only. Taiga translates them and Invoice Ninja rewords them, so nothing here decides by their words.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mappings.values.text import one_line, shortened

_LONGEST_MESSAGE = 300

_NOT_FIELDS = frozenset({"_error_message", "_error_type", "message", "detail", "code", "messages", "error", "errors"})

Errors = Mapping[str, Sequence[str]]


def field_errors(body: Any) -> Errors:
    """The server's messages by field name; empty when it names none.

    Invoice Ninja nests them under `errors` (lists, for locks a bare text), Taiga puts the fields at the top.
    """
    if not isinstance(body, Mapping):
        return {}
    nested = body.get("errors")
    fields = nested if isinstance(nested, Mapping) else {k: v for k, v in body.items() if k not in _NOT_FIELDS}
    return {_field(name): _texts(value) for name, value in fields.items()}


def message_of(body: Any) -> str:
    """What the server says, in one line of at most 300 characters; "" when it says nothing."""
    said = [_headline(body)]
    said += [f"{name}: {'; '.join(texts)}" if name else "; ".join(texts) for name, texts in field_errors(body).items()]
    return shortened(one_line(" | ".join(text for text in said if text)), _LONGEST_MESSAGE)


def _headline(body: Any) -> str:
    if isinstance(body, str):
        return body
    if isinstance(body, Sequence):
        return " | ".join(filter(None, map(message_of, body)))
    if not isinstance(body, Mapping):
        return ""
    for key in ("_error_message", "message", "detail"):
        if isinstance(body.get(key), str) and body[key]:
            return str(body[key])
    return _headline(body.get("error"))


def _field(name: str) -> str:
    return "" if name == "__all__" else name


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(str(member) for member in value)
    return (str(value),)
