"""Typed fields out of decoded JSON; what does not fit is `NotUnderstood` with its path, never a KeyError."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from mappings.errors import NotUnderstood, shown

_T = TypeVar("_T")

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    dict: "an object",
    list: "a list",
}
_MAX_ID = 2**63 - 1


def take(payload: Any, path: str, kind: type[_T]) -> _T:
    """The value at a path such as `data.status.is_closed`, which must be of this type (a boolean is no int).

    Raises:
        NotUnderstood: it is missing, null or of another type; the path names the first place that does not fit.
    """
    value = _walk(payload, path)
    if value is None:
        raise NotUnderstood(path, "is null")
    return _typed(value, path, kind)


def take_optional(payload: Any, path: str, kind: type[_T]) -> _T | None:
    """Like `take`, but None for a value that is null or missing, or whose parent is.

    Raises:
        NotUnderstood: it, or a parent of it, is of another type.
    """
    value = _walk(payload, path, optional=True)
    return None if value is None else _typed(value, path, kind)


def take_id(payload: Any, path: str) -> int:
    """A positive id of 64 bits.

    Raises:
        NotUnderstood: it is anything else.
    """
    value = take(payload, path, int)
    if not 0 < value <= _MAX_ID:
        raise NotUnderstood(path, f"{shown(value)} is not an id")
    return value


def take_time(payload: Any, path: str) -> datetime:
    """An ISO 8601 time with its offset, such as `2026-11-21T07:23:53.500Z`, in UTC.

    Raises:
        NotUnderstood: it is anything else, or has no offset.
    """
    return _time(take(payload, path, str), path)


def take_optional_time(payload: Any, path: str) -> datetime | None:
    """Like `take_time`, but None for null or missing."""
    text = take_optional(payload, path, str)
    return None if text is None else _time(text, path)


def _walk(payload: Any, path: str, *, optional: bool = False) -> Any:
    if "." not in path and isinstance(payload, dict) and path in payload:
        return payload[path]
    value, walked = payload, ""
    for part in path.split("."):
        if optional and value is None:
            return None
        holder: Mapping[str, Any] = _typed(value, walked, dict)
        walked = f"{walked}.{part}" if walked else part
        if part not in holder and not optional:
            raise NotUnderstood(walked, "is missing")
        value = holder.get(part)
    return value


def _typed(value: Any, path: str, kind: type[_T]) -> _T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise NotUnderstood(path, f"must be {_NAMES[kind]}, not {shown(value)}")
    return value


def _time(text: str, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise NotUnderstood(path, f"{shown(text)} is not a time") from error
    raise NotUnderstood(path, f"{shown(text)} has no time zone")
