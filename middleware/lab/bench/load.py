"""The load generator: keep-alive connections that send signed webhooks, each body unique, as cheaply as Python can."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from middleware.sources.signing import sign_taiga

SECRET = "bench-webhook-key"  # noqa: S105 - made up for the run
BODY_BYTES = 3900


def task_webhook(task_id: int) -> bytes:
    """The body of a closed, billable task of about 3.9 kB, unique by its task id."""
    head = (
        '{"action": "change", "type": "task", "by": {"id": 7, "username": "ada", "full_name": "Ada"}, '
        '"date": "2026-11-20T10:00:00.000Z", "data": {"custom_attributes_values": {"Billable": true, '
        f'"Duration (Hours)": 1.5}}, "id": {task_id}, "ref": {task_id}, "subject": "Task {task_id}", '
        '"created_date": "2026-11-19T10:00:00.000Z", "modified_date": "2026-11-20T10:00:00.000Z", '
        '"finished_date": "2026-11-20T10:00:00.000Z", "permalink": "http://taiga.example/project/p/task/1", '
        '"project": {"id": 1, "permalink": "http://taiga.example/project/p", "name": "P", "logo_big_url": null}, '
        '"assigned_to": null, "status": {"id": 4, "name": "Closed", "slug": "closed", "color": "#A8E440", '
        '"is_closed": true}, "user_story": null, "milestone": null, "description": "'
    )
    tail = '"}, "change": {"comment": "", "diff": {"status": {"from": "New", "to": "Closed"}}}}'
    return (head + "x" * max(0, BODY_BYTES - len(head) - len(tail)) + tail).encode()


def request_for(task_id: int) -> bytes:
    """A whole HTTP request with its signature."""
    body = task_webhook(task_id)
    head = (
        "POST /webhooks/taiga HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-TAIGA-WEBHOOK-SIGNATURE: {sign_taiga(body, SECRET)}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(slots=True)
class Answers:
    """What the receiver answered: seconds of each acknowledgement, and every status that was none."""

    seconds: list[float] = field(default_factory=list)
    refused: list[bytes] = field(default_factory=list)
    sent_at: dict[int, float] = field(default_factory=dict)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; at most one request at a time, so an answer ends with its body."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if separator and len(body) >= int(length) and self._answer is not None:
            self._received = b""
            self._answer.set_result(head[9:12])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the receiver closed the connection"))

    async def ask(self, request: bytes) -> bytes:
        """Send one request; returns the status."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer


async def saturate(port: int, connections: int, task_ids: Sequence[int]) -> tuple[Answers, float]:
    """Send every id once, as fast as `connections` keep-alive connections allow; returns answers and seconds."""
    answers = Answers()
    pending = iter(task_ids)
    # Signing costs the generator as much as the receiver: it is done before the clock starts.
    requests = {task_id: request_for(task_id) for task_id in task_ids}
    opened = [await _open(port) for _ in range(connections)]
    started = time.monotonic()
    await asyncio.gather(*(_send_all(connection, pending, requests, answers) for connection in opened))
    seconds = time.monotonic() - started
    for connection in opened:
        connection.transport.close()
    return answers, seconds


async def at_rate(port: int, per_second: float, task_ids: Sequence[int]) -> Answers:
    """Send the ids at an even rate, each on a free connection; `sent_at` holds monotonic seconds by id."""
    answers = Answers()
    free: list[_Connection] = []
    started = time.monotonic()
    sending = []
    for position, task_id in enumerate(task_ids):
        await asyncio.sleep(max(0.0, started + position / per_second - time.monotonic()))
        sending.append(asyncio.create_task(_send_one(port, free, task_id, answers)))
    await asyncio.gather(*sending)
    for connection in free:
        connection.transport.close()
    return answers


async def _open(port: int) -> _Connection:
    factory: Callable[[], _Connection] = _Connection
    _transport, connection = await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", port)
    return connection


async def _send_all(
    connection: _Connection, pending: Iterator[int], requests: dict[int, bytes], answers: Answers
) -> None:
    for task_id in pending:
        before = time.monotonic()
        status = await connection.ask(requests[task_id])
        _note(answers, status, time.monotonic() - before)


async def _send_one(port: int, free: list[_Connection], task_id: int, answers: Answers) -> None:
    connection = free.pop() if free else await _open(port)
    request = request_for(task_id)
    answers.sent_at[task_id] = before = time.monotonic()
    status = await connection.ask(request)
    _note(answers, status, time.monotonic() - before)
    free.append(connection)


def _note(answers: Answers, status: bytes, seconds: float) -> None:
    answers.seconds.append(seconds)
    if status not in (b"202", b"200"):
        answers.refused.append(status)
