"""One budget of bytes for all bodies under way: those that are not proven yet must not fill the memory.

The first bytes of each body are free, so that an ordinary webhook never waits. Beyond the budget a sender waits in
line: its socket is not read until others are done, because Taiga would not come again after a 503. Somebody always
goes on; a sender that has been given its turn and lets the others wait is cut off.
"""

import asyncio
from collections import OrderedDict
from typing import Protocol

BUDGET_BYTES = 32 * 1024 * 1024
FREE_BYTES = 64 * 1024
"""Of each body. Recorded webhooks of Taiga are smaller, but for long descriptions."""

STALLED_SECONDS = 1.0
"""How long a sender at its turn may keep the others waiting without having sent more."""


class Sender(Protocol):
    """A connection on which a body arrives."""

    def hold(self) -> None:
        """Read nothing more of it."""

    def proceed(self) -> None:
        """Read on."""

    def give_up(self) -> None:
        """Cut it off."""


class BodyBudget:
    """Counts the bytes that senders have taken, and who waits in line."""

    def __init__(self, most: int = BUDGET_BYTES) -> None:
        self._most = most
        self._total = 0
        self._taken: dict[Sender, int] = {}
        self._active: OrderedDict[Sender, float] = OrderedDict()
        self._line: OrderedDict[Sender, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def total(self) -> int:
        """Bytes that are taken now, the free ones not counted."""
        return self._total

    def take(self, sender: Sender, size: int) -> None:
        """`size` bytes of a body arrived beyond the free ones; its sender may have to wait."""
        self._total += size
        self._taken[sender] = self._taken.get(sender, 0) + size
        if sender in self._line:
            return
        self._active[sender] = asyncio.get_running_loop().time()
        self._active.move_to_end(sender)
        if self._total > self._most and self._who_goes_on > 1:
            del self._active[sender]
            self._line[sender] = None
            sender.hold()
            self._look_soon()

    def arrived(self, sender: Sender) -> None:
        """The whole body is there: nobody waits for its sender any more, only for its answer."""
        self._active.pop(sender, None)
        if sender in self._line:
            del self._line[sender]
            sender.proceed()
        self._admit()

    def give_back(self, sender: Sender) -> None:
        """The request is answered, or its connection is gone."""
        taken = self._taken.pop(sender, None)
        if taken is None:
            return
        self._total -= taken
        self._active.pop(sender, None)
        self._line.pop(sender, None)
        self._admit()

    @property
    def _who_goes_on(self) -> int:
        """How many are being read or answered: when there is none, the next in line must go on, whatever the sum."""
        return len(self._taken) - len(self._line)

    def _admit(self) -> None:
        while self._line and (self._total <= self._most or not self._who_goes_on):
            sender, _ = self._line.popitem(last=False)
            self._active[sender] = asyncio.get_running_loop().time()
            sender.proceed()

    def _look_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(STALLED_SECONDS, self._look)

    def _look(self) -> None:
        self._timer = None
        latest = asyncio.get_running_loop().time() - STALLED_SECONDS
        for sender in [one for one, moved in self._active.items() if moved <= latest] if self._line else []:
            sender.give_up()
        if self._line:
            self._look_soon()
