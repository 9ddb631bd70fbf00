"""What the lists of the dashboard cost: guards on the plans that PostgreSQL makes, over fifty thousand events."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from middleware.store.billing.reports import Reports, TimeWanted
from middleware.store.database import open_pool
from middleware.store.events.search import EventFilter, EventSearch
from middleware.store.events.statistics import Statistics
from middleware.store.operations.attention import AttentionStore
from tests.support.databases import copied_database

MANY = 50_000
NOW = datetime.now(UTC)

SEED_MANY = """
INSERT INTO events (source, type, key, subject, occurred_at, received_at, body, status, finished_at, reason)
SELECT CASE WHEN i % 20 = 0 THEN 'stripe' ELSE 'taiga' END,
    CASE WHEN i % 20 = 0 THEN 'payment_intent.succeeded' WHEN i % 997 = 0 THEN 'issue.change' ELSE 'task.change' END,
    'k' || i, 'taiga:task:' || (i / 5), now() - ($1 - i) * interval '20 seconds',
    now() - ($1 - i) * interval '20 seconds', '{}',
    CASE WHEN i % 3000 = 0 THEN 'dead' WHEN i % 2 = 0 THEN 'ignored' ELSE 'processed' END, now(), 'outcome ' || i
FROM generate_series(1, $1::int) AS i
"""
SEED_LINKS = """
INSERT INTO links (subject, kind, number, remote_id, state)
SELECT 'taiga:task:' || i, 'time_entry', 'TAIGA-T' || i, 'n' || i, jsonb_build_object(
    'sent', jsonb_build_object('client_id', 'c' || i % 40, 'project_id', '', 'hours', '1.5', 'raw_hours', '1.4',
        'rate', '75', 'description', 'Task', 'ended_at', extract(epoch FROM now())::bigint - i * 100),
    'origin', jsonb_build_object('person', 'p' || i % 9, 'taiga_project_id', i % 60))
FROM generate_series(1, 10000) AS i
"""


async def nodes_of(pool: asyncpg.Pool, query: str, *values: object) -> list[str]:
    """The kinds of nodes in the plan, with their tables."""
    (row,) = await pool.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *values)
    plan = row["QUERY PLAN"]
    told = (json.loads(plan) if isinstance(plan, str) else plan)[0]
    nodes: list[str] = []

    def walk(node: dict[str, Any]) -> None:
        nodes.append(f"{node['Node Type']} {node.get('Relation Name', '')}".strip())
        for child in node.get("Plans", ()):
            walk(child)

    walk(told["Plan"])
    return nodes


@pytest.fixture(scope="module")
async def crowded(postgres_server_url: str, migrated_template: str) -> AsyncIterator[asyncpg.Pool]:
    """A database with fifty thousand events and ten thousand time entries."""
    async with copied_database(postgres_server_url, migrated_template) as url, open_pool(url, size=1) as pool:
        await pool.execute(SEED_MANY, MANY)
        await pool.execute(SEED_LINKS)
        await pool.execute("ANALYZE")
        await Statistics(pool).add_up()
        yield pool


class _Recording:
    """A pool that keeps what it is asked."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.asked: list[tuple[str, tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._pool, name)

        async def ask(query: str, *values: object) -> Any:
            self.asked.append((query, values))
            return await method(query, *values)

        return ask


class TestCost:
    """No list of a page reads the whole table: guards on the plans that PostgreSQL makes."""

    @pytest.mark.parametrize(
        "wanted",
        [
            EventFilter(),
            EventFilter(status="dead"),
            EventFilter(status="retrying"),
            EventFilter(status="discarded"),
            EventFilter(status="ignored"),
            EventFilter(source="stripe"),
            EventFilter(type="issue.change"),
            EventFilter(type="no.such.type"),
            EventFilter(subject="taiga:task:77"),
            EventFilter(text="outcome 7"),
            EventFilter(text="nothing has this"),
            EventFilter(since=NOW - timedelta(days=3), until=NOW - timedelta(days=2)),
            EventFilter(since=NOW - timedelta(days=3), source="stripe", text="outcome"),
        ],
    )
    async def test_event_list(self, crowded: asyncpg.Pool, wanted: EventFilter) -> None:
        """Every filter is served by an index, or by a window of bounded size."""
        recording: Any = _Recording(crowded)
        await EventSearch(recording).page(wanted, before_id=MANY - 10)
        for query, values in recording.asked:
            nodes = await nodes_of(crowded, query, *values)
            assert "Seq Scan events" not in nodes, (query, nodes)

    async def test_other_lists(self, crowded: asyncpg.Pool) -> None:
        """Statistics, recorded time and the reasons for missing entries never read all events or links."""
        recording: Any = _Recording(crowded)
        statistics, reports = Statistics(recording), Reports(recording)
        wanted = TimeWanted(NOW - timedelta(days=2), NOW)
        await statistics.by_day(NOW.date() - timedelta(days=30))
        await AttentionStore(recording).last_webhooks(("taiga", "stripe"))
        await statistics.types()
        await reports.time_lines(wanted, None, 51)
        await reports.time_sums(wanted)
        await reports.unrecorded(None, 51)
        for query, values in recording.asked:
            nodes = await nodes_of(crowded, query, *values)
            assert "Seq Scan events" not in nodes, (query, nodes)
            assert "Seq Scan links" not in nodes, (query, nodes)
