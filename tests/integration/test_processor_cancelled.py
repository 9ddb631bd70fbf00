"""The processor and cancellations that nobody asked for, or that a handler does not heed: no subject stays in hand."""

import asyncio
from functools import partial

from handlers.event import Work
from handlers.outcome import Outcome, Processed
from mappings.codes import Code
from tests.support.pipeline import new_event, until
from tests.support.processor_bench import Bench, done, failing, finished, hurry, unlocked, waits_after

CUT = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"


async def test_cancellation_that_nobody_asked_for(bench: Bench) -> None:
    """What a handler waited for was cancelled by somebody else: the try failed, and is done again."""
    bench.handle = failing(asyncio.CancelledError("of another task"))
    await bench.store.insert([new_event()])
    async with bench.running():
        await until(partial(waits_after, bench, 1), seconds=20)
        assert "unforeseen CancelledError" in (await bench.row()).reason
        bench.handle = done
        await hurry(bench)
        await bench.settled("processed")
    await until(lambda: unlocked(bench))


async def test_try_that_outlives_its_lock_spoils_no_other(bench: Bench) -> None:
    """A try that does not heed its cancellation ends together with newer ones: those are settled, it is not."""
    started, cancelled, go, last = (asyncio.Event() for _ in range(4))

    async def handle(work: Work) -> Outcome:
        if work.subject == "late" and len(bench.works) == 1:
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
            await last.wait()
            return Processed(Code.TIME_RECORDED, "too late")
        if work.subject == "new":
            await go.wait()
            last.set()
        return Processed(Code.TIME_RECORDED, "done")

    bench.handle = handle
    await bench.store.insert([new_event("late")])
    async with bench.running():
        await started.wait()
        await bench.pool.execute(CUT)
        await cancelled.wait()
        await bench.store.insert([new_event("new")])
        await until(lambda: _has_begun(bench, "new"))
        go.set()
        await until(lambda: finished(bench, 2), seconds=20)
    assert (await bench.row()).reason == "done"
    await until(lambda: unlocked(bench))


async def _has_begun(bench: Bench, subject: str) -> bool:
    return any(work.subject == subject for work in bench.works)


async def test_cancelled_in_the_moment_of_a_wake_up(bench: Bench) -> None:
    """A wake-up does not swallow the cancellation of the processor."""
    await bench.store.insert([new_event()])
    processor = bench.processor(sweep_seconds=60)
    running = asyncio.create_task(processor.run())
    await bench.settled("processed")
    await asyncio.sleep(0.05)
    processor.wake()
    running.cancel()
    ended, _ = await asyncio.wait([running], timeout=20)
    running.cancel()
    await asyncio.wait([running])
    assert ended
