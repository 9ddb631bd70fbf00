"""Fixtures of the tests with real servers."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from middleware.store.database import open_pool
from middleware.store.events.events import EventStore
from tests.support.pipeline import event_store
from tests.support.processor_bench import Bench
from tests.support.receiver_bench import running, settings


@pytest.fixture
async def clean_database(database_url: str) -> str:
    """Address of the session's database, emptied before the test: quicker than a database for each test."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = "events, attempts, links, reviews, remotes, workers, circuits, second_looks"
        await connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")
    finally:
        await connection.close()
    return database_url


@pytest.fixture
async def bench(clean_database: str) -> AsyncIterator[Bench]:
    """An empty store and no handler."""
    async with open_pool(clean_database, size=2) as pool:
        yield Bench(clean_database, pool)


@pytest.fixture
async def receiver(clean_database: str) -> AsyncIterator[httpx.AsyncClient]:
    """A receiver with an empty store and no Redis."""
    async with running(settings(clean_database)) as client:
        yield client


@pytest.fixture
async def store(clean_database: str) -> AsyncIterator[EventStore]:
    """What the receiver stored."""
    async with event_store(clean_database) as (events, _):
        yield events
