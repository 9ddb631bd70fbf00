"""The write-back that waits is a stored event: it survives a worker that dies, and many changes share it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from handlers.registry import dispatch
from middleware.pipeline.attempt import work_of
from tests.support.in_process_bridge import Bridge, running_bridge
from tests.support.pipeline import claims

STATUS = "Invoice Status"
WAITING = "type = 'task.write_back' AND status = 'received'"


@pytest.fixture
async def bridge(clean_database: str, fresh_redis: str) -> AsyncIterator[Bridge]:
    """A bridge that writes into Taiga after 30 s without a change."""
    async with running_bridge(clean_database, fresh_redis) as running:
        running.context = replace(running.context, events=running.ingest, write_back_quiet=30.0)
        yield running


async def quiet_time_passes(bridge: Bridge) -> None:
    """What waits is due, by the clock of PostgreSQL and by ours."""
    bridge.context = replace(bridge.context, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    await bridge.pool.execute("UPDATE events SET next_attempt_at = now() WHERE status = 'received'")


async def test_status_follows_the_quiet_time(bridge: Bridge) -> None:
    """The time entry is there at once, the status after the quiet time; its webhook changes nothing more."""
    card = bridge.work().close()
    await bridge.deliver()
    await bridge.settle()
    assert (await bridge.entries(), card.values.get(STATUS)) == ({"TAIGA-T1": "2"}, None)
    assert await bridge.count(WAITING) == 1
    assert await bridge.deliver() == 0, "nothing was written into Taiga"
    await quiet_time_passes(bridge)
    await bridge.settle()
    assert card.values[STATUS] == "Pending Invoice"
    assert await bridge.deliver() == 1
    await bridge.settle()
    assert await bridge.count(WAITING) == 0
    assert await bridge.deliver() == 0, "an echo begins no other write"


async def test_many_changes_share_one_write(bridge: Bridge) -> None:
    """Each change takes over what waited: one event at a time, and one write in the end."""
    card = bridge.work().close()
    for hours in (3, 4, 5):
        await bridge.deliver()
        await bridge.settle()
        assert await bridge.count(WAITING) == 1
        card.set("Duration (Hours)", hours)
    await bridge.deliver()
    await bridge.settle()
    await quiet_time_passes(bridge)
    await bridge.settle()
    assert (card.values[STATUS], await bridge.deliver()) == ("Pending Invoice", 1)


async def test_worker_dies_between_the_entry_and_the_write_back(bridge: Bridge) -> None:
    """The event that it had enqueued and the one that it had not settled are taken together by the next worker."""
    card = bridge.work().close()
    await bridge.deliver()
    async with claims(bridge.url) as dying:
        for claim in await dying.claim(10, []):
            await dispatch(work_of(claim), bridge.context)
    assert await bridge.count(WAITING) == 1
    async with claims(bridge.url) as next_one:
        assert await next_one.release_orphans([]) > 0
    await bridge.settle()
    assert await bridge.count(WAITING) == 1
    await quiet_time_passes(bridge)
    await bridge.settle()
    assert (card.values[STATUS], await bridge.deliver()) == ("Pending Invoice", 1)
    assert await bridge.entries() == {"TAIGA-T1": "2"}


async def test_nothing_is_claimed_before_its_time(bridge: Bridge) -> None:
    """An event that waits is no work yet."""
    bridge.work().close()
    await bridge.deliver()
    await bridge.settle()
    async with claims(bridge.url) as held:
        assert await held.claim(10, []) == []
