"""Waiting for the invoices that somebody asked for: what has ended, what is not waited for any longer, and why.

Whatever happens to an event (its worker hangs or dies, it is tried for hours, somebody discards it or it is gone),
the waiting ends, and with words. No clock and no store here: both are given.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from middleware.store.events.events import FINISHED
from middleware.store.events.progress import Awaited

GONE = "gone"
"""In place of a status: there is no event any more."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited, in seconds.

    Attributes:
        later: a try that comes later than this is left to the workers.
        quiet: nothing changes in any event for so long: whoever is at it hangs.
        fruitless: no event ends for so long, however much they are tried.
        silent: after so long without an end it is told what is waited for, again and again.
    """

    quiet: float
    later: float = 45
    fruitless: float = 600
    silent: float = 10


@dataclass(frozen=True, slots=True)
class Ended:
    """How the invoices of one client ended. `is_done` False: it failed, or is left to the workers."""

    event_id: int
    client_id: str
    client_name: str
    status: str
    reason: str
    hint: str

    @property
    def is_over(self) -> bool:
        """Whether nobody works on it any more; else it is left to the workers."""
        return self.status in {*FINISHED, GONE}

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in {"processed", "ignored"}


class Watch:
    """The events that are waited for. Every `now` is in seconds of any steady clock.

    Args:
        events: the ids with their clients.
        names: the names of the clients.
        patience: how long.
        now: when the waiting begins.
    """

    def __init__(self, events: Mapping[int, str], names: Mapping[str, str], patience: Patience, now: float) -> None:
        self._events = events
        self._names = names
        self._patience = patience
        self._waiting = dict[int, Awaited | None].fromkeys(sorted(events))
        self._changed_at = self._ended_at = self._told_at = now

    @property
    def waiting(self) -> list[int]:
        """The events that have not ended."""
        return list(self._waiting)

    def look(self, rows: Sequence[Awaited], now: float) -> list[Ended]:
        """What has ended by now, or is not waited for any longer; `rows` are the events as they are."""
        present = {row.id: row for row in rows}
        if any(_moved(was, present.get(event_id)) for event_id, was in self._waiting.items()):
            self._changed_at = now
        self._waiting = {event_id: present.get(event_id) for event_id in self._waiting}
        ended = list(self._ended(now))
        for one in ended:
            del self._waiting[one.event_id]
            self._ended_at = self._told_at = now
        return ended

    def notice(self, now: float) -> str:
        """What is waited for, when nothing was heard for a while; else ""."""
        if not self._waiting or now - self._told_at < self._patience.silent:
            return ""
        self._told_at = now
        event_id, row = next(iter(self._waiting.items()))
        others = f", and for {len(self._waiting) - 1} more" if len(self._waiting) > 1 else ""
        return f"waiting for {self._name(event_id)}: {_state(row)} (event {event_id}){others}"

    def _ended(self, now: float) -> Iterator[Ended]:
        tired = self._tired_because(now)
        for event_id, row in self._waiting.items():
            if row is None:
                yield self._one(event_id, GONE, "its event is gone from the store", "generate once more")
            elif row.status in FINISHED or (row.status == "retrying" and row.seconds_to_next > self._patience.later):
                yield self._one(event_id, row.status, row.reason, row.hint)
            elif tired:
                yield self._one(event_id, row.status, f"{tired}: {_state(row)}", row.hint)

    def _tired_because(self, now: float) -> str:
        if now - self._changed_at > self._patience.quiet:
            return f"nothing has moved for {self._patience.quiet:.0f} s"
        if now - self._ended_at > self._patience.fruitless:
            return f"not one ended in {self._patience.fruitless:.0f} s"
        return ""

    def _one(self, event_id: int, status: str, reason: str, hint: str) -> Ended:
        client_id = self._events[event_id]
        return Ended(event_id, client_id, self._names.get(client_id, ""), status, reason, hint)

    def _name(self, event_id: int) -> str:
        client_id = self._events[event_id]
        return self._names.get(client_id) or client_id


def _moved(was: Awaited | None, present: Awaited | None) -> bool:
    if was is None or present is None:
        return was is not present
    return (was.status, was.attempts, was.reason) != (present.status, present.attempts, present.reason)


def _state(row: Awaited | None) -> str:
    if row is None or row.status == "received":
        return "its turn has not come"
    if row.status == "processing":
        return f"a worker is at it, try {row.attempts}"
    return f"tried again in {row.seconds_to_next:.0f} s: {row.reason}"
