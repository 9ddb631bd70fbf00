"""Links, reviews and what workers leave behind."""

from collections.abc import AsyncIterator
from decimal import Decimal

import asyncpg
import pytest

from handlers.ports.context import Link
from middleware.store.billing.links import LinkStore, ReviewStore
from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.operations.workers import WorkerStore

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
LINK = Link("taiga:task:1", "time_entry", "TAIGA-T1", "abc", {"sent": {"hours": "1.50", "rate": None}})


@pytest.fixture
async def pool(clean_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on an empty store."""
    async with open_pool(clean_database, size=2) as opened:
        yield opened


async def test_links(pool: asyncpg.Pool) -> None:
    """A link is saved, replaced in its place, and forgotten; others stay."""
    links = LinkStore(pool)
    other = Link("taiga:task:1", "time_entry", "TAIGA-T1-2", "", {})
    for link in (LINK, other, Link("taiga:task:2", "time_entry", "TAIGA-T2", "x", {})):
        await links.save(link)
    assert await links.of_subject("taiga:task:1") == [LINK, other]
    changed = Link("taiga:task:1", "time_entry", "TAIGA-T1", "abc", {"n": [1, 2]})
    await links.save(changed)
    await links.remove(other)
    assert await links.of_subject("taiga:task:1") == [changed]


async def test_texts_that_jsonb_refuses(pool: asyncpg.Pool) -> None:
    """NUL and lone surrogates in a state are replaced: what a server answers must not stop the bookkeeping."""
    links = LinkStore(pool)
    await links.save(Link("s", "k", "n", "r", {"a\x00": ["\ud800b", {"c": "\x00"}]}))
    (link,) = await links.of_subject("s")
    assert link.state == {"a\N{REPLACEMENT CHARACTER}": ["?b", {"c": "\N{REPLACEMENT CHARACTER}"}]}


async def test_mistakes_of_ours_stay_what_they_are(pool: asyncpg.Pool) -> None:
    """A value that cannot be stored is no sign that PostgreSQL is away: it must not be tried for days."""
    with pytest.raises(TypeError):
        await LinkStore(pool).save(Link("s", "k", "n", "r", {"a": Decimal(1)}))
    with pytest.raises(asyncpg.PostgresError):
        await LinkStore(pool).save(Link("s\x00", "k", "n", "r", {}))


async def test_away_is_told_as_such() -> None:
    """Without PostgreSQL links and reviews say so, in the one way that the retry policy knows."""
    async with open_pool(NOWHERE, size=1) as pool:
        links, reviews = LinkStore(pool), ReviewStore(pool)
        for call in (
            links.of_subject("s"),
            links.save(LINK),
            links.remove(LINK),
            reviews.open("s", "k", "summary", {}),
            reviews.close("s", "k", "why"),
        ):
            with pytest.raises(StoreUnavailableError):
                await call


async def test_reviews(pool: asyncpg.Pool) -> None:
    """A review is opened once, refreshed, closed with a reason, and may be opened again."""
    reviews = ReviewStore(pool)
    await reviews.open("s", "credit", "first", {"hours": "1"})
    await reviews.open("s", "credit", "second", {"hours": "2"})
    await reviews.open("s", "other", "other", {})
    (row,) = await reviews.list_open("credit")
    assert (row.summary, row.details) == ("second", {"hours": "2"})
    await reviews.close("s", "credit", "done")
    await reviews.close("s", "credit", "again")
    assert [row.kind for row in await reviews.list_open()] == ["other"]
    await reviews.open("s", "credit", "third", {})
    assert len(await reviews.list_open()) == 2
    assert await pool.fetchval("SELECT closed_why FROM reviews WHERE closed_at IS NOT NULL") == "done"


async def test_heartbeats(pool: asyncpg.Pool) -> None:
    """The freshest heartbeat counts; workers say goodbye, and those gone for a day are forgotten."""
    workers = WorkerStore(pool)
    assert await workers.seconds_since_beat() is None
    await workers.beat("a", "1")
    await workers.beat("b", "1")
    await pool.execute("UPDATE workers SET seen_at = now() - interval '2 days' WHERE id = 'a'")
    await workers.beat("b", "1")
    assert await pool.fetchval("SELECT array_agg(id) FROM workers") == ["b"]
    age = await workers.seconds_since_beat()
    assert age is not None
    assert age < 5
    await workers.leave("b")
    assert await workers.seconds_since_beat() is None


async def test_remotes(pool: asyncpg.Pool) -> None:
    """The state of a remote system keeps its date until it changes."""
    workers = WorkerStore(pool)
    await workers.note("taiga", "refused", "bad token\x00")
    (first,) = await workers.remotes()
    await workers.note("taiga", "refused", "still")
    (second,) = await workers.remotes()
    assert (second.since, second.message) == (first.since, "still")
    await workers.note("taiga", "ok", "answers")
    (third,) = await workers.remotes()
    assert third.since > first.since
