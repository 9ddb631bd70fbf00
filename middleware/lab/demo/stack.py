"""The stack of the demo: embedded servers, sandboxes, and receiver and worker as processes of their own."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripeState
from middleware.lab.sandbox.stripe import create_app as create_stripe
from middleware.lab.sandbox.taiga import TaigaState
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import BRIDGE, DEFAULT_KEY, PASSWORD

START_SECONDS = 30
NINJA_TOKEN = "demo-invoice-ninja-token"  # noqa: S105 - the sandbox runs on this machine only
STRIPE_KEY = "sk_test_demo"
STRIPE_SECRET = "whsec_demo"  # noqa: S105 - the sandbox runs on this machine only


class DemoFailedError(Exception):
    """The stack did not come up, or a part of it ended."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The running parts and where they answer."""

    taiga: TaigaState
    ninja: NinjaState
    stripe: StripeState
    taiga_url: str
    ninja_url: str
    stripe_url: str
    receiver_url: str
    database_url: str
    folder: Path


@asynccontextmanager
async def running_stack(database_url: str, redis_url: str, mapping: object) -> AsyncIterator[Stack]:
    """Run everything for as long as the block is open; `mapping` becomes mappings.json.

    Raises:
        DemoFailedError: receiver or worker did not start; the message has the end of their log.
    """
    taiga, ninja, stripe = TaigaState(), NinjaState(token=NINJA_TOKEN), StripeState()
    # The demo decides which webhooks arrive.
    stripe.hold = True
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="taiga-billing-demo-") as name:
        folder = Path(name)
        (folder / "mappings.json").write_text(json.dumps(mapping), encoding="utf-8")
        async with (
            serve(create_taiga(taiga)) as taiga_url,
            serve(create_ninja(ninja)) as ninja_url,
            serve(create_stripe(stripe)) as stripe_url,
        ):
            receiver_url = f"http://127.0.0.1:{port}"
            stack = Stack(taiga, ninja, stripe, taiga_url, ninja_url, stripe_url, receiver_url, database_url, folder)
            environment = part_environment(stack, redis_url, port)
            write_env_file(folder, environment)
            async with running_part("serve", environment, folder), running_part("worker", environment, folder):
                await until_ready(stack)
                yield stack


def part_environment(stack: Stack, redis_url: str, port: int) -> Mapping[str, str]:
    """The settings of receiver and worker; nothing of the user's own environment or `.env` counts."""
    root = Path(__file__).parents[3]
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(root),
        "DATABASE_URL": stack.database_url,
        "REDIS_URL": redis_url,
        "TAIGA_API": f"{stack.taiga_url}/api/v1",
        "TAIGA_USERNAME": BRIDGE,
        "TAIGA_PASSWORD": PASSWORD,
        "TAIGA_WEBHOOK_SECRETS": DEFAULT_KEY,
        "INVOICE_NINJA_API": f"{stack.ninja_url}/api/v1",
        "INVOICE_NINJA_TOKEN": NINJA_TOKEN,
        "STRIPE_API_KEY": STRIPE_KEY,
        "STRIPE_API_BASE": stack.stripe_url,
        "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
        "PORT": str(port),
        "WORKER_PORT": "0",
        "LOG_FORMAT": "json",
        # Nobody watches for half a minute.
        "WRITE_BACK_QUIET_SECONDS": "0.5",
    }


def write_env_file(folder: Path, environment: Mapping[str, str]) -> None:
    """Give the command line, when it is run in the folder, the same settings."""
    lines = [f"{name}={value}\n" for name, value in environment.items() if name not in {"PATH", "PYTHONPATH"}]
    file = folder / ".env"
    file.touch(mode=0o600)
    file.write_text("".join(lines), encoding="utf-8")


@asynccontextmanager
async def running_part(name: str, environment: Mapping[str, str], folder: Path) -> AsyncIterator[None]:
    """One process of the stack; its log is `<name>.log` in the folder."""
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "middleware", name, env=environment, cwd=folder, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def until_ready(stack: Stack) -> None:
    """Wait until the receiver takes webhooks and a worker has reported itself."""
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    async with httpx.AsyncClient(trust_env=False) as client:
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                checks = (await client.get(f"{stack.receiver_url}/readyz")).json()["checks"]
                if all(checks[name]["status"] == "ok" for name in ("postgresql", "redis", "worker")):
                    return
            await asyncio.sleep(0.05)
    logs = "\n".join(f"{file.name}: {file.read_text()[-1500:]}" for file in sorted(stack.folder.glob("*.log")))
    raise DemoFailedError(f"receiver and worker were not ready after {START_SECONDS} s\n{logs}")


def free_port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
