"""Reads single fields of Stripe's objects: every surprise becomes a BadStripeObject that names the event and field.

Unknown fields and unknown enum values are never looked at; only what we need must have the type Stripe documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

# Stripe takes at most eight digits for most currencies, twelve for some: beyond this it is no money.
MAX_AMOUNT: Final = 10**14
_MAX_TEXT: Final = 5_000
_MAX_UNIX_SECONDS: Final = 10**11


class BadStripeObject(ValueError):
    """Something of Stripe does not look as documented. `where` names event and object, `field` the path inside."""

    def __init__(self, where: str, field: str, problem: str) -> None:
        super().__init__(f"{where}: {field} {problem}" if field else f"{where}: {problem}")
        self.where = where
        self.field = field
        self.problem = problem


class Fields:
    """Typed access to one decoded JSON object; every error names `where`."""

    def __init__(self, data: Any, where: str, path: str = "") -> None:
        self.where = where
        self.path = path
        if not isinstance(data, Mapping):
            raise BadStripeObject(where, path, f"is not an object but {_shown(data)}")
        self.data: Mapping[str, Any] = data

    def text(self, name: str) -> str:
        """A text that must be there and not be empty."""
        value = self.optional_text(name)
        if not value:
            raise self._bad(name, "is missing" if value is None else "is empty")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or None when it is missing or null."""
        value = self.data.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > _MAX_TEXT:
            raise self._bad(name, f"is not a text but {_shown(value)}")
        return value

    def reference(self, name: str) -> str | None:
        """The id behind a field that holds an id, an expanded object, or null."""
        value = self.data.get(name)
        if isinstance(value, Mapping):
            return Fields(value, self.where, self._path(name)).text("id")
        return self.optional_text(name) or None

    def amount(self, name: str, default: int | None = None) -> int:
        """An amount in minor units, not negative; `default` when missing or null, else it must be there."""
        value = self.data.get(name)
        if value is None and default is not None:
            return default
        return self._whole(name, value, MAX_AMOUNT, "amount in minor units")

    def signed(self, name: str) -> int:
        """An amount in minor units that may be negative and must be there."""
        value = self.data.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value < 0:
            return -self._whole(name, -value, MAX_AMOUNT, "amount in minor units")
        return self._whole(name, value, MAX_AMOUNT, "amount in minor units")

    def whole_or_none(self, name: str) -> int | None:
        """A whole number of any sign that decides about nothing, else None."""
        value = self.data.get(name)
        is_whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_AMOUNT
        return value if is_whole else None

    def text_or_none(self, name: str) -> str | None:
        """A short text that decides about nothing, else None."""
        value = self.data.get(name)
        return value if isinstance(value, str) and len(value) <= _MAX_TEXT else None

    def count(self, name: str) -> int:
        """A small whole number; 0 when missing or null."""
        value = self.data.get(name)
        return 0 if value is None else self._whole(name, value, MAX_AMOUNT, "whole number")

    def unix(self, name: str) -> int:
        """A point in time in unix seconds that must be there."""
        return self._whole(name, self.data.get(name), _MAX_UNIX_SECONDS, "time in unix seconds")

    def optional_unix(self, name: str) -> int | None:
        """A point in time in unix seconds, or None."""
        return None if self.data.get(name) is None else self.unix(name)

    def flag(self, name: str) -> bool:
        """True only when the field is true; missing and null are False."""
        value = self.data.get(name)
        if value is None or isinstance(value, bool):
            return value is True
        raise self._bad(name, f"must be true or false, not {_shown(value)}")

    def optional_flag(self, name: str) -> bool | None:
        """True, False, or None when missing or null."""
        return None if self.data.get(name) is None else self.flag(name)

    def texts(self, name: str) -> tuple[tuple[str, str], ...]:
        """Metadata: pairs of key and value, sorted by key, blank values left out."""
        value = self.data.get(name)
        if value is None:
            return ()
        inner = Fields(value, self.where, self._path(name))
        pairs = ((key, (inner.optional_text(key) or "").strip()) for key in sorted(inner.data))
        return tuple((key, text) for key, text in pairs if text)

    def child(self, name: str) -> "Fields | None":
        """A nested object, or None when it is missing, null or only an id."""
        value = self.data.get(name)
        if value is None or isinstance(value, str):
            return None
        return Fields(value, self.where, self._path(name))

    def children(self, name: str) -> Sequence["Fields"]:
        """The objects of a nested list, be it a plain list or Stripe's `{"object": "list", "data": [...]}`."""
        value = self.data.get(name)
        if isinstance(value, Mapping):
            value = value.get("data")
        if value is None:
            return ()
        if not isinstance(value, list | tuple):
            raise self._bad(name, f"is not a list but {_shown(value)}")
        items = enumerate(value)
        return [Fields(item, self.where, f"{self._path(name)}[{index}]") for index, item in items]

    def _whole(self, name: str, value: Any, limit: int, what: str) -> int:
        if value is None:
            raise self._bad(name, "is missing")
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._bad(name, f"is no {what} but {_shown(value)}")
        if not 0 <= value <= limit:
            raise self._bad(name, f"is no {what}: {_shown(value)} is {'negative' if value < 0 else 'too large'}")
        return value

    def _path(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _bad(self, name: str, problem: str) -> BadStripeObject:
        return BadStripeObject(self.where, self._path(name), problem)


def _shown(value: Any) -> str:
    """A value as short text; a number of a million digits is not spelled out."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_AMOUNT:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, str | int | bool) or value is None:
        return repr(value)[:60]
    return f"a {type(value).__name__}"
