"""Fixtures of the tests with real servers."""

import asyncpg
import pytest


@pytest.fixture
async def clean_database(database_url: str) -> str:
    """Address of the session's database, emptied before the test: quicker than a database for each test."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        tables = "events, attempts, links, reviews, remotes, workers, circuits"
        await connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")
    finally:
        await connection.close()
    return database_url
