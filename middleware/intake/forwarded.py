"""Whether a proxy in front is believed: when it is not, everybody behind it counts as one, and nobody notices."""

import time

import structlog
from starlette.types import Scope

log = structlog.get_logger()

SECONDS_BETWEEN_LINES = 3600.0


class _Hourly:
    """Lets one line an hour through."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def is_due(self) -> bool:
        """Whether it is time for the next one."""
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES:
            return False
        self._last = now
        return True


_hourly = _Hourly()


def warn_unless_believed(scope: Scope) -> None:
    """Say once an hour that X-Forwarded-For comes from somebody who is not in FORWARDED_ALLOW_IPS.

    A proxy that is believed was replaced by the sender it names, whose port is not known.
    """
    host, port = scope["client"] or ("", 0)
    if not port or not any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
        return
    if _hourly.is_due():
        log.warning(
            "forwarded.not_believed",
            peer=host,
            hint="if this is your proxy, name it in FORWARDED_ALLOW_IPS: until then all people behind it count as one",
        )
