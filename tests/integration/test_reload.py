"""mappings.json of a running worker: changed, broken, repaired."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from mappings.errors import MappingErrors
from middleware.mapping import watch as mapping_watch
from middleware.mapping.watch import LOADED, WatchedMapping
from middleware.metrics import MAPPING_VALID
from middleware.store.database import Pool, open_pool
from middleware.store.operations.audit import AuditStore
from tests.support.in_process_stack import (
    ARQ_CLOSES_AS_OF_OLD,
    Task,
    deliver,
    invoice_ninja,
    receiver,
    stack_settings,
    worker,
)

PROJECT: dict[str, Any] = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 60}


def write(file: Path, **changes: Any) -> None:
    """Write a mapping file of one project, as careful editors do: beside it, then in its place."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps({"project_mappings": [PROJECT | changes]}))
    fresh.replace(file)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds, at most half a minute."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - another task brings it about
            await asyncio.sleep(0.01)


@pytest.fixture
async def pool(fresh_database: str) -> AsyncIterator[Pool]:
    """A pool on an empty database."""
    async with open_pool(fresh_database, size=2) as opened:
        yield opened


async def audited(pool: Pool, lines: int) -> None:
    """Wait until so many files were taken: the audit is written a moment after the file is in use."""
    async with asyncio.timeout(30):
        while len(await AuditStore(pool).list(action=LOADED)) < lines:  # noqa: ASYNC110 - another task writes it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(watch: WatchedMapping, pool: Pool) -> AsyncIterator[None]:
    """The watch, running."""
    task = asyncio.create_task(watch.run(pool))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def rate(watch: WatchedMapping) -> Decimal | None:
    """The rate of the project."""
    return watch.current().rules_for(1).project_rate


async def test_changed_broken_repaired(tmp_path: Path, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is taken, a broken file is not and says so loudly, the repaired one is."""
    # A logger that was used before keeps its set-up, and its lines could not be captured.
    monkeypatch.setattr(mapping_watch, "log", structlog.get_logger())
    file = tmp_path / "mappings.json"
    write(file)
    watch = WatchedMapping(file, look_seconds=0.01)
    with capture_logs() as logs:
        async with running(watch, pool):
            write(file, default_hourly_rate=80)
            await until(lambda: rate(watch) == 80)
            file.write_text('{"project_mappings": [')
            await until(lambda: bool(watch.problem()))
            assert (rate(watch), MAPPING_VALID._value.get()) == (Decimal(80), 0)
            assert "is not JSON" in watch.problem()
            write(file, default_hourly_rate=90)
            await until(lambda: rate(watch) == 90)
            await audited(pool, 3)
    assert (watch.problem(), MAPPING_VALID._value.get()) == ("", 1)
    assert [line["log_level"] for line in logs if line["event"] == "mapping.refused"] == ["error"]
    rows = await AuditStore(pool).list(action=LOADED)
    assert rows[0].details["changes"] == ["project 1: project_hourly_rate 80 -> 90"]
    assert [row.actor for row in rows] == ["system"] * 3


async def test_the_same_content_is_audited_once(tmp_path: Path, pool: Pool) -> None:
    """Many workers and restarts leave one line for each content."""
    file = tmp_path / "mappings.json"
    write(file)
    for _ in range(2):
        watch = WatchedMapping(file, look_seconds=0.01)
        async with running(watch, pool):
            watch.look_now()
            await audited(pool, 1)
            await asyncio.sleep(0.05)
    assert len(await AuditStore(pool).list(action=LOADED)) == 1


async def test_a_file_that_is_away(tmp_path: Path, pool: Pool) -> None:
    """A file that was removed is a broken one; nothing starts with it."""
    file = tmp_path / "mappings.json"
    write(file)
    watch = WatchedMapping(file, look_seconds=0.01)
    async with running(watch, pool):
        file.unlink()
        await until(lambda: "there is no" in watch.problem())
        assert rate(watch) == 60
    file.write_text("{")
    with pytest.raises(MappingErrors):
        WatchedMapping(file)


@pytest.mark.filterwarnings(ARQ_CLOSES_AS_OF_OLD)
async def test_a_running_worker_uses_the_new_file(
    fresh_database: str, pool: Pool, fresh_redis: str, tmp_path: Path
) -> None:
    """SIGHUP: the next try is made by the new rules, without a restart."""
    async with invoice_ninja() as ninja:
        settings = stack_settings(fresh_database, fresh_redis, ninja, tmp_path)
        async with receiver(settings) as client, worker(settings):
            await deliver(client, [Task(1).webhook()])
            await until(lambda: len(ninja.entries) == 1)
            write(settings.mappings_file, invoiceninja_client_id=ninja.client_id, default_hourly_rate=99)
            os.kill(os.getpid(), signal.SIGHUP)
            await audited(pool, 2)
            await deliver(client, [Task(2).webhook()])
            await until(lambda: len(ninja.entries) == 2)
    assert [entry.rate for entry in ninja.entries] == [Decimal(60), Decimal(99)]


async def test_hangup_reaches_the_worker_through_up(fresh_database: str, redis_url: str, tmp_path: Path) -> None:
    """`up` passes SIGHUP on: the worker reads the file again, and the receiver goes on."""
    write(tmp_path / "mappings.json")
    log = tmp_path / "log"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TAIGA_WEBHOOK_SECRETS": "key",
        "INVOICE_NINJA_API": "http://127.0.0.1:9",
        "INVOICE_NINJA_TOKEN": "token",
        "DATABASE_URL": fresh_database,
        "REDIS_URL": redis_url,
        "PORT": "0",
        "WORKER_PORT": "0",
        "LOG_FORMAT": "json",
    }
    with log.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "middleware", "up", cwd=tmp_path, env=environment, stdin=DEVNULL, stderr=stream
        )
    try:
        await until(lambda: {"worker.started", "receiver.started", LOADED} <= set(_words(log)))
        process.send_signal(signal.SIGHUP)
        await until(lambda: {"mapping.unchanged", "receiver.unchanged"} <= set(_words(log)))
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert "part.died" not in _words(log)


def _words(log: Path) -> list[str]:
    """The events of a log."""
    return re.findall(r'"event": "([a-z.]+)"', log.read_text())
