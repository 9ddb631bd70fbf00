"""Garbage in bulk and hostile senders, and whether valid webhooks are still answered: `taiga-billing bench abuse`.

All requests come from one address, so nobody can be told apart by it: the receiver's worst case.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from middleware.lab.bench.hostile import attack
from middleware.lab.bench.load import request_for, task_webhook
from middleware.lab.bench.machine import usage

CONNECTIONS = 32
VALID_PER_SECOND = 20
LONGEST_ANSWER = 10.0
MOST_MEMORY_MB = 200
WATCH_SECONDS = 0.2
_FORGED = task_webhook(0)

GARBAGE = (
    b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\nX-TAIGA-WEBHOOK-SIGNATURE: " + b"0" * 40 + b"\r\n"
    b"Content-Length: " + str(len(_FORGED)).encode() + b"\r\n\r\n" + _FORGED,
    b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /webhooks/taiga HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET /webhooks/taiga HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01 this is not HTTP\r\n\r\n",
)


@dataclass(slots=True)
class Endured:
    """What was sent and answered; `p99_ms` and `slowest_ms` of the valid ones; memory of the receiver at its peak."""

    seconds: float
    garbage: int = 0
    valid: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0
    p99_ms: float = 0.0
    attacks: int = 0
    peak_mb: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether every valid webhook was acknowledged, and memory stayed bounded."""
        return self.valid > 0 and not self.refused and self.peak_mb < MOST_MEMORY_MB


async def endure(port: int, pid: int, seconds: float, per_second: float) -> Endured:
    """Send garbage at this rate for so long, hostile connections and valid webhooks beside it."""
    endured, until = Endured(seconds), time.monotonic() + seconds
    times: list[float] = []
    await _send_valid(port, next(_numbers), endured, times)
    async with asyncio.TaskGroup() as group:
        attacking = group.create_task(attack(port, until))
        group.create_task(_watch(pid, until, endured))
        for number in range(CONNECTIONS):
            group.create_task(_spam(port, number, until, CONNECTIONS / per_second, endured))
        while time.monotonic() < until:
            group.create_task(_send_valid(port, next(_numbers), endured, times))
            await asyncio.sleep(1 / VALID_PER_SECOND)
    endured.attacks = attacking.result()
    times.sort()
    endured.p99_ms, endured.slowest_ms = times[int(len(times) * 0.99)] * 1000, times[-1] * 1000
    return endured


async def _watch(pid: int, until: float, endured: Endured) -> None:
    while time.monotonic() < until:
        endured.peak_mb = max(endured.peak_mb, usage(pid).rss_mb)
        await asyncio.sleep(WATCH_SECONDS)


_numbers = count(1)


async def _spam(port: int, number: int, until: float, pause: float, endured: Endured) -> None:
    turn = time.monotonic()
    for kind in count(number):
        turn += pause
        if turn > until:
            return
        await asyncio.sleep(max(0.0, turn - time.monotonic()))
        endured.garbage += 1
        try:
            await _first_line(port, GARBAGE[kind % len(GARBAGE)])
        except (OSError, TimeoutError):
            continue


async def _send_valid(port: int, number: int, endured: Endured, times: list[float]) -> None:
    started = time.monotonic()
    endured.valid += 1
    try:
        line = await _first_line(port, request_for(number))
    except (OSError, TimeoutError) as error:
        endured.refused[type(error).__name__] += 1
        return
    if not line.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")):
        endured.refused[line[9:12].decode("latin-1") or "no answer"] += 1
    times.append(time.monotonic() - started)


async def _first_line(port: int, request: bytes) -> bytes:
    async with asyncio.timeout(LONGEST_ANSWER):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return await reader.readline()
        finally:
            writer.close()
