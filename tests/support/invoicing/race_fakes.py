"""What other people and machines do between two requests of ours."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

Act = Callable[[], Awaitable[object]]


class Race:
    """Lets something happen right before or right after the next calls of one object, one act for each call."""

    def __init__(self, of: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self._of = of
        self._monkeypatch = monkeypatch

    def before(self, call: str, *acts: Act) -> None:
        """Each act happens right before a call of this name; one that raises stands for a call that fails."""
        self._interfere(call, list(acts), [])

    def after(self, call: str, *acts: Act) -> None:
        """Each act happens when a call of this name has had its effect, and before its answer arrives."""
        self._interfere(call, [], list(acts))

    def _interfere(self, call: str, earlier: list[Act], later: list[Act]) -> None:
        real = getattr(self._of, call)

        async def raced(*args: Any, **named: Any) -> Any:
            if earlier:
                await earlier.pop(0)()
            answer = await real(*args, **named)
            if later:
                await later.pop(0)()
            return answer

        self._monkeypatch.setattr(self._of, call, raced)


def failing(error: BaseException) -> Act:
    """An act that fails like this."""

    async def fail() -> None:
        raise error

    return fail
