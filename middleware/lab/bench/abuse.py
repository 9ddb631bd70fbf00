"""Garbage in bulk, and whether valid webhooks are still answered: `taiga-billing bench abuse`.

All requests come from one address, which has proven itself: the receiver must check every signature, its worst case.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from middleware.lab.bench.load import request_for, task_webhook

CONNECTIONS = 32
VALID_PER_SECOND = 20
LONGEST_ANSWER = 10.0
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
    """What was sent and answered; `slowest_ms` of the valid ones."""

    seconds: float
    garbage: int = 0
    valid: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest_ms: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether every valid webhook was acknowledged."""
        return self.valid > 0 and not self.refused


async def endure(port: int, seconds: float, per_second: float) -> Endured:
    """Send garbage at this rate for so long, and valid webhooks beside it."""
    endured, until = Endured(seconds), time.monotonic() + seconds
    await _send_valid(port, next(_numbers), endured)
    async with asyncio.TaskGroup() as group:
        for number in range(CONNECTIONS):
            group.create_task(_spam(port, number, until, CONNECTIONS / per_second, endured))
        while time.monotonic() < until:
            group.create_task(_send_valid(port, next(_numbers), endured))
            await asyncio.sleep(1 / VALID_PER_SECOND)
    return endured


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


async def _send_valid(port: int, number: int, endured: Endured) -> None:
    started = time.monotonic()
    endured.valid += 1
    try:
        line = await _first_line(port, request_for(number))
    except (OSError, TimeoutError) as error:
        endured.refused[type(error).__name__] += 1
        return
    if not line.startswith((b"HTTP/1.1 202", b"HTTP/1.1 200")):
        endured.refused[line[9:12].decode("latin-1") or "no answer"] += 1
    endured.slowest_ms = max(endured.slowest_ms, (time.monotonic() - started) * 1000)


async def _first_line(port: int, request: bytes) -> bytes:
    async with asyncio.timeout(LONGEST_ANSWER):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            return await reader.readline()
        finally:
            writer.close()
