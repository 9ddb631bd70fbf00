"""Form-encoded bodies and queries with brackets: `metadata[a]=1`, `items[0][x]=2`, `types[]=y`."""

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final
from urllib.parse import parse_qsl

from middleware.lab.sandbox.stripe import errors

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_PART: Final = re.compile(r"\[([^\[\]]*)\]")
_TOO_LARGE: Final = 10**8

KNOWN: Final[Mapping[str, frozenset[str]]] = {
    address: frozenset(names.split())
    for address, names in json.loads((files(__package__) / "parameters.json").read_text("utf-8")).items()
}
"""The parameters that an address takes, from Stripe's own SDK; addresses that are not listed take any."""


def decode(text: str) -> dict[str, Any]:
    """Nested objects and lists from a form or query string."""
    root: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        matched = _NAME.fullmatch(name)
        if matched is None:
            raise errors.invalid(f"Invalid parameter name: {name}", param=name)
        _place(root, [matched[1], *_PART.findall(matched[2])], value)
    decoded: dict[str, Any] = _lists(root)
    return decoded


def _place(holder: dict[str, Any], way: list[str], value: str) -> None:
    for step, following in pairwise(way):
        inner = holder.setdefault(step or str(len(holder)), {})
        if not isinstance(inner, dict):
            raise errors.invalid(f"Invalid parameter: {following}", param=way[0])
        holder = inner
    holder[way[-1] or str(len(holder))] = value


def _lists(value: Any) -> Any:
    """Objects whose keys are all numbers become lists, in the order of the numbers."""
    if not isinstance(value, dict):
        return value
    if value and all(key.isdecimal() for key in value):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


class Params:
    """Typed access to decoded parameters; every mistake is the 400 that Stripe would answer."""

    def __init__(self, data: dict[str, Any], prefix: str = "") -> None:
        self.data = data
        self.prefix = prefix

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.optional(name)
        if not value:
            raise errors.missing(self._full(name))
        return value

    def optional(self, name: str) -> str | None:
        """A text, or None; an empty text stands for unsetting."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, str):
            raise errors.invalid(f"Invalid string: {value}", param=self._full(name))
        return value or None

    def amount(self, name: str) -> int:
        """An amount in minor units, at least 1."""
        value = self.integer(name)
        if value is None:
            raise errors.missing(self._full(name))
        if value < 1:
            raise errors.invalid("This value must be greater than or equal to 1.", param=self._full(name))
        if value >= _TOO_LARGE * 10_000:
            raise errors.invalid("Amount must be no more than 999999999999", param=name, code="amount_too_large")
        return value

    def integer(self, name: str) -> int | None:
        """A whole number, or None."""
        value = self.optional(name)
        if value is None:
            return None
        if not re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
            code = "parameter_invalid_integer"
            raise errors.invalid(f"Invalid integer: {value}", param=self._full(name), code=code)
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """`true` or `false`."""
        value = self.optional(name)
        if value is None:
            return default
        if value not in {"true", "false"}:
            raise errors.invalid(f"Invalid boolean: {value}", param=self._full(name))
        return value == "true"

    def texts(self, name: str) -> list[str]:
        """A list of texts; a single text counts as one."""
        value = self.data.get(name, [])
        return [value] if isinstance(value, str) else [str(item) for item in value]

    def inner(self, name: str) -> "Params":
        """A nested object; empty when it is missing."""
        value = self.data.get(name) or {}
        if not isinstance(value, dict):
            raise errors.invalid("Invalid object", param=self._full(name))
        return Params(value, self._full(name))

    def items(self, name: str) -> list["Params"]:
        """A list of nested objects."""
        value = self.data.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise errors.invalid("Invalid array", param=self._full(name))
        return [Params(item, f"{self._full(name)}[{index}]") for index, item in enumerate(value)]

    def metadata(self, name: str = "metadata") -> dict[str, str]:
        """Metadata: at most 50 keys of 40 characters with values of 500."""
        pairs = {key: str(value) for key, value in self.inner(name).data.items()}
        for key, value in pairs.items():
            if len(key) > 40 or len(value) > 500 or len(pairs) > 50:  # noqa: PLR2004 - Stripe's limits
                raise errors.invalid("Metadata is limited to 50 keys of 40 and values of 500 characters", param=name)
        return pairs

    def refuse_unknown(self, address: str) -> None:
        """Raise what Stripe answers to parameters it does not know at this address."""
        known = KNOWN.get(address)
        unknown = sorted(set(self.data) - known - {"expand"}) if known is not None else []
        if unknown:
            raise errors.unknown_parameters(unknown)

    def _full(self, name: str) -> str:
        return f"{self.prefix}[{name}]" if self.prefix else name
