"""A receiver that is started again while senders hammer at it: behind a socket that is held, nobody notices."""

import asyncio
import os
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from middleware.lab.bench.load import SECRET, request_for
from middleware.web.listen import LISTENER_VARIABLE, inherited_listener, listen_on
from tests.support.pipeline import until

SENDERS = 16
RESTARTS = 2
_numbers = count(1)


async def send_until(stop: asyncio.Event, port: int, answers: Counter[str]) -> None:
    """Send webhooks, each on a new connection as Taiga does."""
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            answers[type(error).__name__] += 1
            continue
        try:
            writer.write(request_for(next(_numbers)))
            line = await reader.readline()
            answers[line[9:12].decode() or "closed without an answer"] += 1
        except ConnectionError as error:
            answers[type(error).__name__] += 1
        finally:
            writer.close()


@asynccontextmanager
async def receiver(environment: Mapping[str, str], descriptor: int, folder: Path) -> AsyncIterator[None]:
    """A receiver that inherited this socket; it is ended with SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "middleware", "serve"),
        env={**environment, LISTENER_VARIABLE: str(descriptor)},
        cwd=folder,
        pass_fds=(descriptor,),
    )
    try:
        yield
    finally:
        process.terminate()
        assert await process.wait() == 0


async def test_restarts_are_not_noticed(fresh_database: str, fresh_redis: str, tmp_path: Path) -> None:
    """While the receiver is stopped and started twice, every webhook is acknowledged: no reset, no refusal."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "DATABASE_URL": fresh_database,
        "REDIS_URL": fresh_redis,
        "TAIGA_WEBHOOK_SECRETS": SECRET,
    }
    answers: Counter[str] = Counter()
    stop = asyncio.Event()
    with listen_on("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        senders = [asyncio.create_task(send_until(stop, port, answers)) for _ in range(SENDERS)]
        try:
            for run in range(RESTARTS + 1):
                async with receiver(environment, listener.fileno(), tmp_path):
                    enough = answers["202"] + 3 * SENDERS

                    async def is_enough(enough: int = enough) -> bool:
                        return answers["202"] >= enough

                    await until(is_enough)
                    if run == RESTARTS:
                        stop.set()
                        await asyncio.wait_for(asyncio.gather(*senders), 30)
        finally:
            for sender in senders:
                sender.cancel()
    assert set(answers) == {"202"}


def test_the_socket_of_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is taken from systemd when it is meant for this process, and from nobody otherwise."""
    assert inherited_listener() is None
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    assert inherited_listener() is None
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    with listen_on("127.0.0.1", 0) as listener:
        monkeypatch.setattr("middleware.web.listen.FIRST_OF_SYSTEMD", os.dup(listener.fileno()))
        taken = inherited_listener()
        assert taken is not None
        with taken:
            assert taken.getsockname() == listener.getsockname()
            assert not taken.get_inheritable()


def test_both_families() -> None:
    """HOST=:: takes IPv4 as well; another IPv6 address takes itself only."""
    with listen_on("::", 0) as listener, socket.create_connection(("127.0.0.1", listener.getsockname()[1])):
        pass
    with listen_on("::1", 0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
