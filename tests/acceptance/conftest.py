"""Fixtures of the tests with real processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.acceptance_bench import Bench, open_bench


@pytest.fixture
async def bench(fresh_database: str, fresh_redis: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """A fresh store and sandbox; settings by environment only."""
    async with open_bench(fresh_database, fresh_redis, tmp_path) as opened:
        yield opened
