"""One round of housekeeping: what is older than the settings allow is removed, and bodies are sealed anew."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from middleware.jobs.periodic import Job, nightly
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.encryption import edge_in_use
from middleware.store.events.retention import HousekeepingStore, Resealed

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Round:
    """What was done."""

    bodies_removed: int
    events_removed: int
    rejections_removed: int
    bodies_sealed: int
    unreadable: int
    old_keys: tuple[str, ...]

    @property
    def summary(self) -> str:
        """In one line."""
        parts = [
            f"{self.bodies_removed} bodies and {self.events_removed} events removed",
            f"{self.rejections_removed} refused requests forgotten",
        ]
        if self.bodies_sealed:
            parts.append(f"{self.bodies_sealed} bodies sealed with the newest key")
        if self.old_keys:
            parts.append(f"no longer used; can be removed from ENCRYPTION_KEYS: {', '.join(self.old_keys)}")
        if self.unreadable:
            parts.append(f"{self.unreadable} bodies are sealed with a key that is not configured")
        return "; ".join(parts)


async def keep_house(settings: Settings, pool: Pool, now: datetime) -> Round:
    """One round.

    Raises:
        StoreUnavailableError: PostgreSQL is away; the next round goes on.
    """
    store = HousekeepingStore(pool)
    bodies_before, events_before = _before(now, settings.retention_days), _before(now, settings.retention_summary_days)
    events = await store.remove_events(events_before) if events_before else 0
    bodies = await store.remove_bodies(bodies_before) if bodies_before else 0
    rejections = await store.remove_rejections(bodies_before) if bodies_before else 0
    edge = edge_in_use()
    again = await store.reseal(edge) if edge is not None else Resealed()
    done = Round(bodies, events, rejections, again.done, again.unreadable, again.old_keys)
    log.info("housekeeping.done", told=done.summary)
    return done


def housekeeping_jobs(settings: Settings, pool: Pool) -> list[Job]:
    """A round every night."""

    async def keep() -> str:
        return (await keep_house(settings, pool, datetime.now(UTC))).summary

    return [Job("housekeeping", nightly(3, 10), keep)]


def _before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None
