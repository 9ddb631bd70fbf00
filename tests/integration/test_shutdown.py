"""A receiver that is stopped while senders hammer at it: everybody who got a connection gets an answer."""

import asyncio
import os
import signal
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

from middleware.lab.bench.load import SECRET, request_for
from middleware.lab.bench.stack import free_port
from middleware.lab.chaos.processes import Part

SENDERS = 16
_numbers = count(1)


async def send_until_refused(port: int, answers: Counter[str]) -> None:
    """Send webhooks, each on a new connection as Taiga does, until nobody listens any more."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return
        try:
            writer.write(request_for(next(_numbers)))
            line = await reader.readline()
            answers[line[9:12].decode() or "closed without an answer"] += 1
        except ConnectionError as error:
            answers[type(error).__name__] += 1
        finally:
            writer.close()


async def listening(port: int) -> None:
    """Wait until the port takes connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no filter on listening sockets")
async def test_no_request_meets_a_reset(fresh_database: str, fresh_redis: str, tmp_path: Path) -> None:
    """At SIGTERM all senders either have their acknowledgement or were never let in."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": fresh_database,
        "REDIS_URL": fresh_redis,
        "TAIGA_WEBHOOK_SECRETS": SECRET,
        "PORT": str(port),
    }
    receiver = Part("receiver", ["middleware", "serve"], environment, tmp_path)
    answers: Counter[str] = Counter()
    for _ in range(2):
        await receiver.start()
        try:
            await listening(port)
            sending = [asyncio.create_task(send_until_refused(port, answers)) for _ in range(SENDERS)]
            await asyncio.sleep(0.5)
        finally:
            await receiver.end(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*sending), 20)
    assert set(answers) == {"202"}
    assert answers["202"] > SENDERS
