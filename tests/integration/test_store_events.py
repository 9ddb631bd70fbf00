"""The event rows: stored once, found again, replayed and discarded; the hot queries stay on their indexes."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import pytest

from middleware.store.database import StoreUnavailableError, open_pool
from middleware.store.events.actions import EventActions
from middleware.store.events.events import EventStore, backlog
from tests.support.pipeline import claims, event_store, new_event

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture
async def pool(clean_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on an empty store."""
    async with open_pool(clean_database, size=8) as opened:
        yield opened


@pytest.fixture
async def store(pool: asyncpg.Pool) -> EventStore:
    """An empty store."""
    return EventStore(pool)


async def put(pool: asyncpg.Pool, event_id: int, status: str) -> None:
    """Put an event into a status."""
    await pool.execute("UPDATE events SET status = $2 WHERE id = $1", event_id, status)


async def test_concurrent_inserts_of_one_key(store: EventStore) -> None:
    """Many receivers that store the same delivery at the same time make one row, and exactly one is the first."""
    event = new_event(key="same")
    results = await asyncio.gather(*(store.insert([event]) for _ in range(20)))
    stored = [result for (result,) in results]
    assert len({result.event_id for result in stored}) == 1
    assert [result.is_duplicate for result in stored].count(False) == 1
    assert [result.is_due for result in stored].count(True) == 1


async def test_batches_in_opposite_orders(store: EventStore) -> None:
    """Two receivers that commit the same deliveries in opposite orders both succeed."""
    for number in range(15):
        events = [new_event(key=f"{number}-{part}", body=b"{}" * 5000) for part in range(40)]
        forth, back = await asyncio.gather(store.insert(events), store.insert(events[::-1]))
        assert [result.event_id for result in forth] == [result.event_id for result in back[::-1]]


async def test_same_delivery_twice_in_one_commit(store: EventStore) -> None:
    """A delivery that comes twice within one commit is stored once; the second is a duplicate."""
    event, other = new_event(key="x"), new_event(key="y")
    first, second, third = await store.insert([event, other, event])
    assert (first.is_duplicate, second.is_duplicate, third.is_duplicate) == (False, False, True)
    assert (first.event_id, third.is_due) == (third.event_id, False)


async def test_same_key_of_two_sources(store: EventStore) -> None:
    """Keys are unique within their source only."""
    first, second = await store.insert([new_event(key="k"), new_event(key="k", source="stripe")])
    assert first.event_id != second.event_id


@pytest.mark.parametrize(
    ("status", "revived"),
    [("received", False), ("processing", False), ("retrying", False), ("processed", False), ("ignored", False),
     ("discarded", False), ("dead", True)],
)  # fmt: skip
async def test_duplicate_of(store: EventStore, pool: asyncpg.Pool, status: str, *, revived: bool) -> None:
    """Only a duplicate of a dead event puts it back to work; what a person discarded stays so."""
    event = new_event()
    (first,) = await store.insert([event])
    await put(pool, first.event_id, status)
    (second,) = await store.insert([event])
    assert (second.event_id, second.is_duplicate, second.is_due) == (first.event_id, True, revived)
    row = await store.find(first.event_id)
    assert row is not None
    assert row.status == ("received" if revived else status)


async def test_away_means_not_stored() -> None:
    """Without PostgreSQL nothing is called stored."""
    async with event_store(NOWHERE) as (store, pool):
        with pytest.raises(StoreUnavailableError):
            await store.insert([new_event()])
        with pytest.raises(StoreUnavailableError):
            await backlog(pool)


async def test_replay(store: EventStore, pool: asyncpg.Pool) -> None:
    """Whatever is finished or waits for its next attempt can be replayed as a series of its own; work in hand not."""
    actions = EventActions(pool)
    (stored,) = await store.insert([new_event()])
    for status, works in {"processed": True, "ignored": True, "dead": True, "discarded": True, "retrying": True,
                          "processing": False, "received": False}.items():  # fmt: skip
        await put(pool, stored.event_id, status)
        assert (await actions.replay([stored.event_id], "ada") == [stored.event_id]) is works
    assert await actions.replay([stored.event_id + 1], "ada") == []
    row = await pool.fetchrow("SELECT series_started_at > received_at AS is_later, attempts FROM events")
    assert dict(row or {}) == {"is_later": True, "attempts": 0}


async def test_discard(store: EventStore, pool: asyncpg.Pool) -> None:
    """A person may close what is dead or retrying, with a reason that is kept; nothing else."""
    actions = EventActions(pool)
    (stored,) = await store.insert([new_event()])
    for status in ("received", "processing", "processed", "ignored", "discarded"):
        await put(pool, stored.event_id, status)
        assert await actions.discard([stored.event_id], "why", "ada") == []
    await put(pool, stored.event_id, "dead")
    assert await actions.discard([stored.event_id], "a mistake\x00", "ada") == [stored.event_id]
    row = await store.find(stored.event_id)
    assert row is not None
    assert (row.status, row.reason) == ("discarded", "a mistake\N{REPLACEMENT CHARACTER}")


async def test_list(store: EventStore, pool: asyncpg.Pool) -> None:
    """Newest first, by status, source and subject, page by page."""
    events = [new_event("a"), new_event("b"), new_event("a", source="stripe"), new_event("c")]
    ids = [(await store.insert([event]))[0].event_id for event in events]
    await put(pool, ids[3], "dead")
    assert [row.id for row in await store.list()] == ids[::-1]
    assert [row.id for row in await store.list(subject="a", source="taiga")] == [ids[0]]
    assert [row.id for row in await store.list(status="dead")] == [ids[3]]
    assert [row.id for row in await store.list(before_id=ids[2], limit=1)] == [ids[1]]


async def test_unknown_event(store: EventStore) -> None:
    """What is not there is not there."""
    assert await store.find(1) is None
    assert await store.body(1) == (b"", {})
    assert await store.attempts(1) == []


async def test_backlog(store: EventStore, pool: asyncpg.Pool) -> None:
    """What waits is counted by status, with the age of the oldest that is due."""
    stored = await store.insert([new_event(f"s{number}") for number in range(6)])
    for item, status in zip(
        stored, ["received", "retrying", "retrying", "processing", "dead", "processed"], strict=True
    ):
        await put(pool, item.event_id, status)
    await pool.execute("UPDATE events SET next_attempt_at = now() - interval '90 s' WHERE id = $1", stored[1].event_id)
    await pool.execute("UPDATE events SET next_attempt_at = now() + interval '90 s' WHERE id = $1", stored[2].event_id)
    waiting = await backlog(pool)
    assert (waiting.received, waiting.retrying, waiting.processing, waiting.dead) == (1, 2, 1, 1)
    assert 89 < waiting.oldest_due_seconds < 100


async def test_empty_backlog(pool: asyncpg.Pool) -> None:
    """Nothing waits, and nothing is old."""
    waiting = await backlog(pool)
    assert (waiting.received, waiting.oldest_due_seconds) == (0, 0)


@pytest.fixture
async def full_pool(fresh_database: str) -> AsyncIterator[asyncpg.Pool]:
    """A store with 20,000 finished events of 5,000 subjects, a few that wait, and fresh statistics."""
    async with open_pool(fresh_database, size=1) as opened:
        await opened.execute(
            "INSERT INTO events (source, type, key, subject, occurred_at, body, status, finished_at)"
            " SELECT 'taiga', 'task.change', n::text, 'taiga:task:' || n % 5000, now(), 'x', 'processed', now()"
            " FROM generate_series(1, 20000) AS n"
        )
        await EventStore(opened).insert([new_event(f"taiga:task:{number}") for number in range(20)])
        await opened.execute("UPDATE events SET status = 'processing' WHERE key = 'x'")
        await opened.execute("VACUUM ANALYZE events")
        yield opened


# The looks of these stand in the nodes below them.
SHOWN_OTHERWISE = {"Bitmap Heap Scan", "ModifyTable"}


def scans(plan: Any) -> list[str]:
    """Every look at the events table in a plan: `Seq Scan` or the name of the index."""
    is_look = plan.get("Relation Name") == "events" and plan["Node Type"] not in SHOWN_OTHERWISE
    found = [plan.get("Index Name", plan["Node Type"])] if is_look else []
    found += [plan["Index Name"]] if plan["Node Type"] == "Bitmap Index Scan" else []
    return [*found, *(name for part in plan.get("Plans", []) for name in scans(part))]


async def explained(pool: asyncpg.Pool, query: str, *arguments: object) -> list[str]:
    """The looks at the events table of a query, as it would run."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *arguments)
    (top,) = json.loads(rows) if isinstance(rows, str) else rows
    return scans(top["Plan"])


@pytest.fixture
async def asked(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Any]]:
    """The queries with their arguments that claiming and sweeping would ask."""
    queries: list[Sequence[Any]] = []

    async def note(_connection: asyncpg.Connection, *query: object) -> list[object]:
        queries.append(query)
        return []

    async with claims(fresh_database) as held:
        monkeypatch.setattr(asyncpg.Connection, "fetch", note)
        await held.claim(20, [])
        await held.release_orphans([])
    monkeypatch.undo()
    return queries


async def test_claiming_never_reads_the_finished_rows(full_pool: asyncpg.Pool, asked: list[Sequence[Any]]) -> None:
    """The claim finds what waits by the partial indexes, however many events are finished."""
    used = await explained(full_pool, *asked[0])
    assert "events_waiting" in used
    assert set(used) <= {"events_waiting", "events_processing", "events_subject", "events_pkey"}


async def test_sweeping_never_reads_the_finished_rows(full_pool: asyncpg.Pool, asked: list[Sequence[Any]]) -> None:
    """The sweep looks at what is at work only."""
    used = await explained(full_pool, *asked[1])
    assert set(used) <= {"events_processing", "events_subject", "events_pkey"}


async def test_backlog_never_reads_the_finished_rows(full_pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauges are read from the partial indexes only."""
    queries: list[str] = []
    fetchrow = asyncpg.Pool.fetchrow

    async def noted(pool: asyncpg.Pool, query: str, **options: float) -> object:
        queries.append(query)
        return await fetchrow(pool, query, timeout=options["timeout"])

    monkeypatch.setattr(asyncpg.Pool, "fetchrow", noted)
    assert (await backlog(full_pool)).received == 20
    used = await explained(full_pool, queries[0])
    assert set(used) <= {"events_waiting", "events_processing", "events_dead"}
