"""The newest event of each subject, for trying rules on what really happened."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

_AT_A_TIME = 200

_NEWEST = """
SELECT id, subject, status, body FROM (
    SELECT DISTINCT ON (subject) id, subject, status, body, occurred_at FROM events
    WHERE source = $1 AND received_at >= $2 AND split_part(type, '.', 1) = ANY ($3) AND octet_length(body) > 0
    ORDER BY subject, occurred_at DESC, id DESC
) AS newest ORDER BY occurred_at, id
"""


@dataclass(frozen=True, slots=True)
class NewestEvent:
    """The newest event of a subject, as stored."""

    id: int
    subject: str
    status: str
    body: bytes
    outcome_code: str = ""


async def newest_events(
    pool: asyncpg.Pool, source: str, kinds: Sequence[str], since: datetime
) -> AsyncIterator[NewestEvent]:
    """The newest event of each subject that came since, oldest first; read in parts, however many there are.

    `kinds` are the part of the type before the point: `task` for `task.change`.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        async for row in connection.cursor(_NEWEST, source, since, list(kinds), prefetch=_AT_A_TIME, timeout=600):
            yield NewestEvent(row["id"], row["subject"], row["status"], bytes(row["body"]))
