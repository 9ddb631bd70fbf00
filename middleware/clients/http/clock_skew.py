"""How far the clock of a remote system is from ours, by the Date header of its answers."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from statistics import median

import httpx

SENT = "taiga_billing.sent"


class RemoteClock:
    """Looks at the dates of all answers to an httpx client; `clock` gives unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._offsets: list[float] = []

    @property
    def skew(self) -> float | None:
        """Seconds by which their clock is ahead of ours (behind: negative); None when no answer had a date."""
        return median(self._offsets) if self._offsets else None

    def watch(self, http: httpx.AsyncClient) -> None:
        """Look at every answer from now on."""
        http.event_hooks = {"request": [self._note_sending], "response": [self._note_date]}

    async def _note_sending(self, request: httpx.Request) -> None:
        request.extensions[SENT] = self._clock()

    async def _note_date(self, response: httpx.Response) -> None:
        middle = (response.request.extensions[SENT] + self._clock()) / 2
        try:
            date = parsedate_to_datetime(response.headers.get("date", ""))
        except ValueError:
            return
        # The header counts whole seconds: on average it is half a second old.
        self._offsets.append(date.timestamp() + 0.5 - middle)
