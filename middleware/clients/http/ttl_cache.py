"""Answers remembered for a while."""

import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

_MOST = 10_000


class Remembered(Generic[Key, Value]):
    """A dict whose entries end after their time; `timer` is a monotonic clock in seconds."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._entries: dict[Key, tuple[Value, float]] = {}

    def get(self, key: Key) -> Value | None:
        """The value, or None when there is none (any more)."""
        value, ends_at = self._entries.get(key, (None, 0.0))
        return value if self._timer() < ends_at else None

    def put(self, key: Key, value: Value, seconds: float) -> Value:
        """Remember the value and give it back."""
        if len(self._entries) >= _MOST:
            self.forget_all()
        self._entries[key] = (value, self._timer() + seconds)
        return value

    def forget_all(self) -> None:
        """Remember nothing."""
        self._entries.clear()
