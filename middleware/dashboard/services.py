"""What the pages are given by the receiver."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from handlers.ports.events import EventSink
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.web.health import Check

Wake = Callable[[Sequence[int]], None]
Checks = Callable[[], Awaitable[list[Check]]]


@dataclass(frozen=True, slots=True)
class Services:
    """`pool` is the dashboard's own, so that a slow page takes no connection from webhooks.

    `sink` is the one door for events; `wake` tells the workers of events that are due again; `checks` are those of
    `/readyz`.
    """

    settings: Settings
    pool: Pool
    sink: EventSink
    wake: Wake
    checks: Checks
    clock: Callable[[], datetime]
