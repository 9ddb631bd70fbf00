"""The processes of a bench: servers, stub, receiver and workers, each with its pid so that its cost can be read."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from middleware.lab.bench.load import SECRET
from middleware.lab.bench.stub import CLIENT_ID

START_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Ground:
    """What every process of the bench stands on."""

    database_url: str
    redis_url: str
    folder: Path

    def environment(self, port: int, stub_port: int, extra: Mapping[str, str]) -> dict[str, str]:
        """The settings of receiver and worker; nothing of the user's own environment counts."""
        return {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "TAIGA_WEBHOOK_SECRETS": SECRET,
            "INVOICE_NINJA_API": f"http://127.0.0.1:{stub_port}/api/v1",
            "INVOICE_NINJA_TOKEN": "bench-token",
            "MAPPINGS_FILE": str(self.folder / "mappings.json"),
            "PORT": str(port),
            "WORKER_PORT": "0",
            "LOG_LEVEL": "warning",
            "LOG_FORMAT": "json",
            **extra,
        }


@dataclass(slots=True)
class Part:
    """One running process."""

    process: asyncio.subprocess.Process
    port: int = 0
    log: Path = field(default_factory=Path)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid


def write_mapping(folder: Path) -> None:
    """The mapping file of the bench: one project, one client."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": CLIENT_ID, "default_hourly_rate": 75}
    (folder / "mappings.json").write_text(json.dumps({"project_mappings": [project]}), encoding="utf-8")


@asynccontextmanager
async def part(
    ground: Ground, arguments: list[str], environment: Mapping[str, str], port: int = 0
) -> AsyncIterator[Part]:
    """Run `python -m ...` for as long as the block is open; waits until its port answers."""
    log = ground.folder / f"{arguments[-1]}-{port}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, env=environment, cwd=ground.folder, stdout=output, stderr=output
        )
    running = Part(process, port, log)
    try:
        if port:
            await until_listening(running)
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def until_listening(running: Part) -> None:
    """Wait until the port of the process takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise RuntimeError(f"nothing listens on port {running.port}: {running.log.read_text()[-1000:]}")


@asynccontextmanager
async def receiver(ground: Ground, stub_port: int = 9, **extra: str) -> AsyncIterator[Part]:
    """The receiver."""
    port = free_port()
    async with part(ground, ["middleware", "serve"], ground.environment(port, stub_port, extra), port) as running:
        yield running


@asynccontextmanager
async def worker(ground: Ground, stub_port: int, **extra: str) -> AsyncIterator[Part]:
    """One worker."""
    async with part(ground, ["middleware", "worker"], ground.environment(0, stub_port, extra)) as running:
        yield running


@asynccontextmanager
async def stub(ground: Ground, delay_ms: float = 0) -> AsyncIterator[Part]:
    """The stub of Invoice Ninja."""
    port = free_port()
    arguments = ["middleware.lab.bench.stub", str(port), str(delay_ms)]
    async with part(ground, arguments, ground.environment(0, 0, {}), port) as running:
        yield running


@asynccontextmanager
async def floor(ground: Ground, kind: str) -> AsyncIterator[Part]:
    """One of the floors: `hmac` or `commit`."""
    port = free_port()
    arguments = ["middleware.lab.bench.floor", str(port), kind]
    async with part(ground, arguments, ground.environment(0, 0, {}), port) as running:
        yield running


async def arrivals(stub_port: int) -> tuple[dict[str, float], int]:
    """When the stub got each entry (monotonic seconds by number), and how many requests it got, since the last call."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = (await client.get(f"http://127.0.0.1:{stub_port}/__arrivals")).json()
    return answer["arrivals"], answer["requests"]


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
