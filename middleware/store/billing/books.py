"""How current Invoice Ninja's books are, which pages show instead of asking."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from middleware.store.billing.mirror import READING, BookStore
from middleware.store.database import Pool
from middleware.store.operations.timetable import JobTimes, Timetable


@dataclass(frozen=True, slots=True)
class MirrorState:
    """As of when the books are known, None before they were read to their end once; and how reading them stands."""

    read_at: datetime | None
    tick: JobTimes | None


async def reading_of(pool: Pool) -> MirrorState:
    """How the reading of the books stands."""
    read_at, tick = await asyncio.gather(BookStore(pool).read_at(), Timetable(pool).find(READING))
    return MirrorState(read_at, tick)
