"""One clock for all processes: PostgreSQL's. A machine whose own clock is wrong must not bill months to come."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from middleware.store.database import STORE_ERRORS, Pool, StoreUnavailableError, away_is_unavailable

log = structlog.get_logger()

MOST_WRONG = timedelta(minutes=1)


def own_time() -> datetime:
    """What this machine takes for the present moment."""
    return datetime.now(UTC)


class StoreClock:
    """PostgreSQL's clock as this process knows it: what it said last, and the seconds that passed since."""

    def __init__(self, pool: Pool, own: Callable[[], datetime] = own_time) -> None:
        self._pool = pool
        self._own = own
        self._said: tuple[datetime, float] | None = None
        self.off = timedelta(0)

    async def read(self) -> datetime:
        """Ask PostgreSQL for the time.

        Raises:
            StoreUnavailableError: it does not say.
        """
        before, began = self._own(), time.monotonic()
        with away_is_unavailable():
            said: datetime = await self._pool.fetchval("SELECT clock_timestamp()", timeout=5)
        now = time.monotonic()
        self.off = before + timedelta(seconds=now - began) / 2 - said
        self._said = said, now
        return said

    async def try_to_read(self) -> None:
        """The same; the last answer stays while PostgreSQL is away."""
        with suppress(StoreUnavailableError, *STORE_ERRORS):
            await self.read()

    def now(self) -> datetime:
        """The present moment, aware UTC; by this machine's clock before PostgreSQL was asked for the first time."""
        if self._said is None:
            return self._own()
        said, at = self._said
        return said + timedelta(seconds=time.monotonic() - at)

    async def time_for_jobs(self) -> datetime | None:
        """The moment by which jobs are begun; None, and a line in the log, when this machine's clock is wrong.

        Then other workers do them: what else this machine does by its clock would be wrong, too.

        Raises:
            StoreUnavailableError: PostgreSQL does not say.
        """
        now = await self.read()
        if abs(self.off) <= MOST_WRONG:
            return now
        log.error(
            "clock.wrong",
            off_s=round(self.off.total_seconds()),
            hint="set the clock of this machine (NTP); until then it begins no invoice run and no other job",
        )
        return None
