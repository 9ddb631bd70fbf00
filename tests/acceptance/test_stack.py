"""The programs as people run them: killed, stopped and started again."""

import asyncio
import os
import signal
from pathlib import Path

from tests.support.acceptance_bench import Bench, free_port
from tests.support.in_process_stack import Task
from tests.support.pipeline import until


async def one_entry(bench: Bench) -> None:
    """Exactly one time entry, and no other was ever made."""
    assert [entry.number for entry in bench.ninja.entries] == ["TAIGA-T1"]
    assert len(bench.ninja.app.state.ninja.tables["tasks"]) == 1


async def posted(bench: Bench) -> bool:
    """Whether the request that makes the entry was carried out."""
    return bool(bench.ninja.entries)


async def test_worker_killed_between_request_and_commit(bench: Bench) -> None:
    """The worker is killed after Invoice Ninja made the entry and before the commit: one entry in the end."""
    bench.ninja.faults.add(method="POST", path="/tasks$", action="hang", when="after")
    with bench.program("serve"):
        await bench.serves()
        assert await bench.deliver(Task(1).webhook()) == [202]
    with bench.program("worker") as first:
        await until(lambda: posted(bench))
        first.kill()
    assert await bench.statuses() == {"processing": 1}
    with bench.program("worker"):
        await bench.reaches(processed=1)
    await one_entry(bench)


async def test_worker_terminated_in_the_middle(bench: Bench) -> None:
    """SIGTERM lets the try in hand finish."""
    bench.ninja.faults.add(method="POST", path="/tasks$", action="delay", seconds=0.7, when="after")
    with bench.program("serve"), bench.program("worker") as worker:
        await bench.serves()
        await bench.deliver(Task(1).webhook())
        await until(lambda: posted(bench))
        assert await worker.terminate() == 0
    assert await bench.statuses() == {"processed": 1}
    await one_entry(bench)


async def test_worker_terminated_while_invoice_ninja_hangs(bench: Bench) -> None:
    """SIGTERM hands back what does not finish in time, and the next worker finishes it, once."""
    bench.ninja.faults.add(method="POST", path="/tasks$", action="hang", when="after")
    with bench.program("serve"):
        await bench.serves()
        await bench.deliver(Task(1).webhook())
    with bench.program("worker", SHUTDOWN_SECONDS="0.2") as worker:
        await until(lambda: posted(bench))
        assert await worker.terminate() == 0
    assert await bench.statuses() == {"retrying": 1}
    with bench.program("worker"):
        await bench.reaches(processed=1)
    await one_entry(bench)


async def test_up_and_down(bench: Bench) -> None:
    """`up` runs receiver and worker, starts a part that dies again, and ends all of it on SIGTERM."""
    with bench.program("up") as stack:
        await bench.serves()
        assert await bench.deliver(Task(1).webhook()) == [202]
        await bench.reaches(processed=1)
        for part in children_of(stack.process.pid):
            os.kill(part, signal.SIGKILL)
        await stack.says("part.died")
        await bench.serves()
        assert await bench.deliver(Task(2).webhook()) == [202]
        await bench.reaches(processed=2)
        parts = children_of(stack.process.pid)
        assert len(parts) == 2
        assert await stack.terminate() == 0
    assert await _all_gone(parts)
    assert {line["part"] for line in stack.lines if line["event"] == "part.died"} == {"serve", "worker"}


async def test_up_starts_its_own_postgresql_again(bench: Bench) -> None:
    """When the private PostgreSQL of `up` is killed, it is started again, and webhooks are taken as before."""
    with bench.program("up", DATABASE_URL="", REDIS_URL="", DATA_DIR=str(bench.folder / "own")) as stack:
        await bench.serves()
        assert await bench.deliver(Task(1).webhook()) == [202]
        pid = int((bench.folder / "own/postgres/data/postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        await stack.says("server.restarted")

        async def is_taken() -> bool:
            return await bench.deliver(Task(2).webhook()) in ([202], [200])

        await until(is_taken)
        assert await stack.terminate() == 0


async def test_two_receivers_and_two_workers(bench: Bench) -> None:
    """Several of each work on one store: what both receivers get is taken once, and both workers work."""
    other = {"PORT": free_port()}
    few = {"WORKER_CONCURRENCY": "2"}
    bench.ninja.faults.add(method="POST", path="/tasks$", action="delay", seconds=0.05, times=None)
    with bench.program("serve"), bench.program("serve", **other):
        await bench.serves()
        await bench.serves(other["PORT"])
        with bench.program("worker", **few) as one, bench.program("worker", **few) as two:
            await one.says("worker.started")
            await two.says("worker.started")
            bodies = [Task(number).webhook() for number in range(1, 41)]
            answers = await asyncio.gather(bench.deliver(*bodies), bench.deliver(*bodies, port=other["PORT"]))
            await bench.reaches(processed=40)
    assert [sorted(pair) for pair in zip(*answers, strict=True)] == [[200, 202]] * 40
    assert {entry.number for entry in bench.ninja.entries} == {f"TAIGA-T{number}" for number in range(1, 41)}
    assert len(bench.ninja.app.state.ninja.tables["tasks"]) == 40
    assert all("event.attempted" in worker.log.read_text() for worker in (one, two))


async def test_parts_end_with_a_killed_up(bench: Bench) -> None:
    """When `up` itself is killed, its parts end: nobody holds the port when it is started again."""
    with bench.program("up") as stack:
        await bench.serves()
        parts = children_of(stack.process.pid)
        stack.kill()
        await until(lambda: _all_gone(parts))
    with bench.program("up"):
        await bench.serves()


async def _all_gone(parts: list[int]) -> bool:
    return not any(os.path.exists(f"/proc/{part}") for part in parts)  # noqa: ASYNC240, PTH110 - never blocks


def children_of(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_receiver_terminated_under_requests(bench: Bench) -> None:
    """SIGTERM finishes what is under way: as much is stored as was acknowledged."""
    with bench.program("serve") as receiver:
        await bench.serves()
        accepted = await bench.deliver(*(Task(number).webhook() for number in range(1, 30)))
        assert await receiver.terminate() == 0
    assert await bench.statuses() == {"received": accepted.count(202)}


async def test_secrets_stay_out_of_the_logs(bench: Bench) -> None:
    """Neither tokens nor keys nor passwords are in any line, whatever happens."""
    bench.ninja.faults.add(
        method="GET", path="/clients", action="answer", status=403, body={"message": "Invalid token"}
    )
    with bench.program("serve", LOG_LEVEL="debug") as receiver, bench.program("worker", LOG_LEVEL="debug") as worker:
        await bench.serves()
        await bench.deliver(Task(1).webhook())
        await worker.says("Invalid token")
    text = receiver.log.read_text() + worker.log.read_text()
    secrets = (bench.environment["INVOICE_NINJA_TOKEN"], bench.environment["TAIGA_WEBHOOK_SECRETS"])
    assert not any(secret in text for secret in secrets)
    (attempt,) = [line for line in worker.lines if line["event"] == "event.attempted"]
    assert attempt["subject"] == "taiga:task:1"
    assert attempt["outcome"] == "retrying"
    assert "INVOICE_NINJA_TOKEN" in attempt["hint"]
