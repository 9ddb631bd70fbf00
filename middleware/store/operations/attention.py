"""What needs a person, as the store knows it: dead events, open reviews, systems in trouble, arrivals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from middleware.store.database import away_is_unavailable

# What reconciling put in proves no webhook. That is looked up for the newest events only, whatever is stored: for
# older ones the sums of their days do.
_LAST_WEBHOOKS = """
WITH newest AS (SELECT source, type, received_at, headers FROM events ORDER BY id DESC LIMIT 5000)
SELECT source, max(last_at) AS last_at FROM (
    SELECT source, received_at AS last_at FROM newest
    WHERE type NOT LIKE '%.reconcile' AND NOT headers ? 'x-reconciled-because'
    UNION ALL
    SELECT source, last_at FROM event_days
    WHERE type NOT LIKE '%.reconcile'
        AND last_at < (SELECT received_at FROM events ORDER BY id DESC OFFSET 4999 LIMIT 1)
) AS arrived
WHERE source = ANY ($1)
GROUP BY source
"""
_TROUBLED = """
SELECT system, 'away' AS state, open_since AS since, message FROM circuits WHERE open_since IS NOT NULL
UNION ALL
SELECT system, CASE state WHEN 'refused' THEN 'refused' ELSE 'away' END, since, message FROM remotes
WHERE state <> 'ok'
ORDER BY system, since
"""


# A newer event of the same subject that was settled has repaired what the dead one complained of. Items that lack an
# attribute of their project are one thing to do, which the review of the project names.
_STUCK = """
SELECT subject, max(id) AS event_id, (array_agg(reason ORDER BY id DESC))[1] AS reason
FROM (
    SELECT id, subject, reason, occurred_at, outcome_code FROM events WHERE status = 'dead' ORDER BY id DESC LIMIT $1
) AS dead
WHERE NOT EXISTS (
    SELECT 1 FROM events AS n WHERE n.subject = dead.subject AND n.status IN ('processed', 'ignored')
        AND (n.occurred_at, n.id) > (dead.occurred_at, dead.id)
) AND NOT (
    outcome_code = 'attribute_missing'
    AND EXISTS (SELECT 1 FROM reviews WHERE kind = 'attribute_missing' AND closed_at IS NULL)
)
GROUP BY subject ORDER BY event_id DESC
"""


@dataclass(frozen=True, slots=True)
class Stuck:
    """A subject with dead events that wait for a person: the newest one's id and reason."""

    subject: str
    event_id: int
    reason: str


# A task or payment that is stuck and has an open review, or several of either, is one thing to do.
_ATTENTION = f"""
WITH stuck AS (SELECT subject FROM ({_STUCK}) AS newest),
    asked AS (SELECT DISTINCT subject FROM reviews WHERE closed_at IS NULL)
SELECT (SELECT count(*) FROM stuck) AS stuck,
    (SELECT count(*) FROM (SELECT subject FROM stuck UNION SELECT subject FROM asked) AS subjects) AS things
"""


@dataclass(frozen=True, slots=True)
class Attention:
    """How many things wait for a person, each task, payment or plan once; `stuck` of them have dead events."""

    stuck: int
    things: int


@dataclass(frozen=True, slots=True)
class OpenReview:
    """A decision that waits for a person."""

    id: int
    kind: str
    subject: str
    summary: str


@dataclass(frozen=True, slots=True)
class Troubled:
    """A system that does not work for us. `state`: refused (credentials) or away."""

    system: str
    state: str
    since: datetime
    message: str


class AttentionStore:
    """Bounded reads; every method raises `StoreUnavailableError` while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def stuck(self, limit: int) -> list[Stuck]:
        """What the newest dead events are about, newest first; `limit` is of events."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_STUCK, limit)
        return [Stuck(**row) for row in rows]

    async def attention(self, limit: int) -> Attention:
        """How much waits for a person, as far as the newest `limit` dead events tell."""
        with away_is_unavailable():
            row = await self._pool.fetchrow(_ATTENTION, limit)
        return Attention(**dict(row or {}))

    async def open_reviews(self, limit: int) -> list[OpenReview]:
        """The newest open reviews."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT id, kind, subject, summary FROM reviews WHERE closed_at IS NULL ORDER BY id DESC LIMIT $1",
                limit,
            )
        return [OpenReview(**row) for row in rows]

    async def troubled(self) -> list[Troubled]:
        """The systems that refuse us or do not answer."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_TROUBLED)
        return [Troubled(**row) for row in rows]

    async def last_webhooks(self, sources: Sequence[str]) -> Mapping[str, datetime]:
        """When the last webhook of each source came; what reconciling put in does not count."""
        with away_is_unavailable():
            rows = await self._pool.fetch(_LAST_WEBHOOKS, list(sources))
        return {row["source"]: row["last_at"] for row in rows}

    async def days_with_webhooks(self, sources: Sequence[str], since: date) -> Mapping[str, list[date]]:
        """The days (UTC) on which events of each source came, in order."""
        with away_is_unavailable():
            rows = await self._pool.fetch(
                "SELECT source, array_agg(DISTINCT day ORDER BY day) AS days FROM event_days"
                " WHERE source = ANY ($1) AND day >= $2 GROUP BY source",
                list(sources),
                since,
            )
        return {row["source"]: list(row["days"]) for row in rows}
