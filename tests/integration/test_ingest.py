"""The single door: accepted means committed, and nobody waits for ever."""

import asyncio
from collections.abc import Sequence

import pytest

from handlers.event import Enqueued, NewEvent
from middleware.intake import ingest as ingest_module
from middleware.intake.ingest import Ingest
from middleware.pipeline.wakeups import Wakeups, open_queue
from middleware.store.database import StoreUnavailableError
from middleware.store.events.events import EventStore
from tests.support.pipeline import event_store, new_event, until


class SlowStore(EventStore):
    """A store whose commits wait until they are let go, and may fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.go = asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def insert(self, events: Sequence[NewEvent]) -> list[Enqueued]:
        """Wait, then fail or store."""
        self.batches.append([event.subject for event in events])
        await self.go.acquire()
        if self.error is not None:
            raise self.error
        return [Enqueued(number, is_duplicate=False, is_due=True) for number, _ in enumerate(events, 1)]


class Notes(Wakeups):
    """Wake-ups that are only noted."""

    def __init__(self) -> None:
        self.noted: list[int] = []

    def notify(self, event_ids: Sequence[int]) -> None:
        """Note them."""
        self.noted += event_ids


async def one(door: Ingest, event: NewEvent) -> Enqueued:
    """What became of a single event."""
    (enqueued,) = await door.enqueue([event])
    return enqueued


async def accepting(door: Ingest, *subjects: str) -> list[asyncio.Task[Enqueued]]:
    """Requests that wait at the door."""
    tasks = [asyncio.create_task(one(door, new_event(subject))) for subject in subjects]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_requests_share_a_commit() -> None:
    """Requests that arrive while a commit is under way share the next one, and are woken together."""
    store, notes = SlowStore(), Notes()
    door = Ingest(store, notes.notify)
    (first,) = await accepting(door, "a")
    rest = await accepting(door, "b", "c", "d")
    store.go.release()
    store.go.release()
    await asyncio.gather(first, *rest)
    assert store.batches == [["a"], ["b", "c", "d"]]
    assert notes.noted == [1, 1, 2, 3]


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), KeyError("a mistake of ours")])
async def test_failed_commit_refuses_its_requests(error: Exception) -> None:
    """A commit that fails, in whatever way, refuses those who waited for it, and the next ones are stored."""
    store = SlowStore()
    door = Ingest(store, Notes().notify)
    store.error = error
    waiting = await accepting(door, "a", "b")
    store.go.release()
    store.go.release()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailableError, StoreUnavailableError]
    store.error = None
    store.go.release()
    assert (await one(door, new_event("c"))).event_id == 1


async def test_cancelled_commit_leaves_nobody_waiting() -> None:
    """When the program ends in the middle of a commit, all requests are refused."""
    door = Ingest(SlowStore(), Notes().notify)
    first = await accepting(door, "a")
    waiting = first + await accepting(door, "b", "c")
    (commit,) = (task for task in asyncio.all_tasks() if task.get_name() == "batch")
    commit.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [StoreUnavailableError] * 3


async def test_request_that_goes_away() -> None:
    """A request that is cancelled while it waits does not disturb the others."""
    store = SlowStore()
    door = Ingest(store, Notes().notify)
    gone, stays = await accepting(door, "a", "b")
    gone.cancel()
    store.go.release()
    store.go.release()
    assert (await stays).event_id


async def test_no_more_wait_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many requests wait for PostgreSQL, further ones are refused at once; later they are taken."""
    monkeypatch.setattr(ingest_module, "MAX_WAITING", 4)
    store = SlowStore()
    door = Ingest(store, Notes().notify)
    first = await accepting(door, "a")
    waiting = first + await accepting(door, "b", "c", "d")
    with pytest.raises(StoreUnavailableError, match="4 requests wait"):
        await one(door, new_event("e"))
    for _ in range(9):
        store.go.release()
    await asyncio.gather(*waiting)
    assert (await one(door, new_event("f"))).event_id == 1


async def test_wakeups_reach_redis(clean_database: str, fresh_redis: str) -> None:
    """Enqueued events are announced in Redis by their ids, as JSON, off the path of the acknowledgement."""
    async with event_store(clean_database) as (store, _):
        queue = open_queue(fresh_redis)
        wakeups = Wakeups(queue)
        await wakeups.start()
        door = Ingest(store, wakeups.notify)
        stored = await asyncio.gather(*(one(door, new_event(f"s{number}")) for number in range(5)))

        async def is_announced() -> bool:
            return bool(await queue.queued_jobs())

        await until(is_announced)
        jobs = await queue.queued_jobs()
        ids = {event_id for job in jobs for event_id in job.args[0]}
        await wakeups.stop()
    assert {job.function for job in jobs} == {"process_events"}
    assert ids <= {result.event_id for result in stored}


async def test_wakeups_without_redis(clean_database: str) -> None:
    """Without Redis events are accepted all the same, and stopping does not hang."""
    async with event_store(clean_database) as (store, _):
        wakeups = Wakeups(open_queue("redis://127.0.0.1:1/0"))
        await wakeups.start()
        assert (await one(Ingest(store, wakeups.notify), new_event())).is_due
        await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            await wakeups.stop()


async def test_hints_are_bounded() -> None:
    """Wake-ups that Redis does not take do not pile up without end."""
    wakeups = Wakeups(open_queue("redis://127.0.0.1:1/0"))
    for _ in range(1000):
        wakeups.notify(range(100))
    assert len(wakeups._unsent) <= 20_100
    await wakeups._queue.aclose()


async def test_event_that_cannot_be_stored(clean_database: str) -> None:
    """One event that PostgreSQL refuses is refused alone: those who share its commit are acknowledged."""
    async with event_store(clean_database) as (store, _):
        door = Ingest(store, Notes().notify)
        too_long = "".join(chr(33 + (7919 * n * n + n // 3) % 900) for n in range(9000))
        events = [new_event("a"), new_event("b", key=too_long), new_event("c")]
        results = await asyncio.gather(*(one(door, event) for event in events), return_exceptions=True)
    assert [type(result) for result in results] == [Enqueued, StoreUnavailableError, Enqueued]
