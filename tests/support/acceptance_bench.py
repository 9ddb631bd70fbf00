"""Real processes: `python -m middleware ...` with servers and a sandbox of the test session."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN
from tests.support.in_process_stack import Ninja, invoice_ninja, signed, write_mapping
from tests.support.pipeline import until
from tests.support.recorded import TAIGA_WEBHOOK_KEY

ROOT = Path(__file__).parents[2]


@dataclass
class Program:
    """One running `taiga-billing`."""

    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    async def terminate(self, seconds: float = 60) -> int:
        """End it in order; returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended(seconds)

    async def ended(self, seconds: float = 60) -> int:
        """Wait for its end; returns its exit code."""
        await until(self._is_over, seconds)
        assert self.process.returncode is not None
        return self.process.returncode

    async def _is_over(self) -> bool:
        return self.process.poll() is not None

    async def says(self, words: str) -> None:
        """Wait until its log holds these words."""
        await until(lambda: self._has_said(words))

    async def _has_said(self, words: str) -> bool:
        return words in self.log.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its log, which is JSON, line by line."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@dataclass
class Bench:
    """Where programs run: a folder, an environment, a sandbox Invoice Ninja and a store."""

    folder: Path
    environment: Mapping[str, str]
    ninja: Ninja
    started: int = 0

    def receiver_url(self, port: str = "") -> str:
        """Where `serve` listens; `port`: another one than the environment's."""
        return f"http://127.0.0.1:{port or self.environment['PORT']}"

    @contextmanager
    def program(self, *arguments: str, **environment: str) -> Iterator[Program]:
        """A running program, killed in the end if it still runs."""
        self.started += 1
        log = self.folder / f"{arguments[0]}-{self.started}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "middleware", *arguments],
                cwd=self.folder,
                env={**self.environment, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        program = Program(process, log)
        try:
            yield program
        finally:
            program.kill()

    def call(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "middleware", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    async def calls(self, *commands: str) -> "list[subprocess.CompletedProcess[str]]":
        """Run several commands side by side."""
        return await asyncio.gather(*(asyncio.to_thread(self.call, *command.split()) for command in commands))

    async def deliver(self, *bodies: bytes, port: str = "") -> list[int]:
        """Post signed webhooks to the receiver."""
        async with httpx.AsyncClient(base_url=self.receiver_url(port)) as client:
            answers = [await client.post("/webhooks/taiga", content=body, headers=signed(body)) for body in bodies]
        return [answer.status_code for answer in answers]

    async def serves(self, port: str = "") -> None:
        """Wait until the receiver answers."""
        await until(lambda: self._answers(port))

    async def _answers(self, port: str) -> bool:
        async with httpx.AsyncClient(base_url=self.receiver_url(port)) as client:
            try:
                return (await client.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

    async def statuses(self) -> dict[str, int]:
        """How many events are in which status."""
        connection = await asyncpg.connect(self.environment["DATABASE_URL"])
        try:
            rows = await connection.fetch("SELECT status, count(*) AS n FROM events GROUP BY status")
        finally:
            await connection.close()
        return {row["status"]: row["n"] for row in rows}

    async def reaches(self, **expected: int) -> None:
        """Wait until the events are in these statuses."""
        await until(lambda: self._is(expected))

    async def _is(self, expected: dict[str, int]) -> bool:
        return await self.statuses() == expected


def free_port() -> str:
    """A TCP port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])


@asynccontextmanager
async def open_bench(database_url: str, redis_url: str, folder: Path) -> AsyncIterator[Bench]:
    """A fresh sandbox, and the settings that programs get by their environment."""
    async with invoice_ninja() as ninja:
        mapping = write_mapping(folder, ninja.client_id)
        own = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        settings = {
            "PYTHONPATH": str(ROOT),
            "TAIGA_WEBHOOK_SECRETS": TAIGA_WEBHOOK_KEY,
            "INVOICE_NINJA_API": ninja.url,
            "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "MAPPINGS_FILE": str(mapping),
            "PORT": free_port(),
            "WORKER_PORT": "0",
            "LOG_FORMAT": "json",
            "SWEEP_SECONDS": "0.2",
            "SHUTDOWN_SECONDS": "5",
        }
        yield Bench(folder, {**own, **settings}, ninja)
