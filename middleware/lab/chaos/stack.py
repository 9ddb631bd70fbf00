"""Everything that runs in a chaos run: sandboxes in this process, the rest as processes of their own."""

import asyncio
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from middleware.embedded import PostgresServer, RedisServer
from middleware.lab.bench.stack import free_port
from middleware.lab.chaos.payers import Bill
from middleware.lab.chaos.plan import Plan
from middleware.lab.chaos.processes import Part
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripeState
from middleware.lab.sandbox.stripe import create_app as create_stripe
from middleware.lab.sandbox.taiga import TaigaState
from middleware.lab.sandbox.taiga import create_app as create_taiga
from middleware.lab.sandbox.taiga.people import BRIDGE, DEFAULT_KEY, PASSWORD

NINJA_TOKEN = "chaos-invoice-ninja-token"  # noqa: S105 - the sandbox runs on this machine only
STRIPE_KEY = "sk_test_chaos"
STRIPE_SECRET = "whsec_chaos"  # noqa: S105 - the same
START_SECONDS = 30
PROJECT_RATES = {1: 75, 2: 60}
CLIENTS = {1: "acme", 2: "globex"}


@dataclass(slots=True)
class Stack:
    """The running parts."""

    plan: Plan
    folder: Path
    postgres: PostgresServer
    redis: RedisServer
    taiga: TaigaState = field(default_factory=TaigaState)
    ninja: NinjaState = field(default_factory=lambda: NinjaState(token=NINJA_TOKEN))
    stripe: StripeState = field(default_factory=StripeState)
    faults: dict[str, Faults] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    receivers: list[Part] = field(default_factory=list)
    workers: list[Part] = field(default_factory=list)
    client_ids: dict[int, str] = field(default_factory=dict)
    bills: list[Bill] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        """Receivers and workers."""
        return self.receivers + self.workers


@asynccontextmanager
async def running_stack(plan: Plan, folder: Path) -> AsyncIterator[Stack]:
    """Run everything for as long as the block is open.

    Raises:
        RuntimeError: a receiver did not start; the message has the end of its log.
    """
    async with AsyncExitStack() as running:
        postgres = running.enter_context(PostgresServer(folder, durable=False))
        redis = running.enter_context(RedisServer(folder))
        stack = Stack(plan, folder, postgres, redis)
        stack.taiga.hold = stack.stripe.hold = True
        stack.faults = {name: Faults(plan.seed) for name in ("taiga", "ninja", "stripe")}
        taiga = await running.enter_async_context(serve(create_taiga(stack.taiga, stack.faults["taiga"])))
        ninja = await running.enter_async_context(serve(create_ninja(stack.ninja, stack.faults["ninja"])))
        stripe = await running.enter_async_context(serve(create_stripe(stack.stripe, stack.faults["stripe"])))
        await _fill_books(stack, ninja)
        _write_mapping(stack)
        _add_parts(stack, {"taiga": taiga, "ninja": ninja, "stripe": stripe})
        running.push_async_callback(_end_parts, stack)
        await asyncio.gather(*(part.start() for part in stack.parts))
        await _until_ready(stack)
        yield stack


def _add_parts(stack: Stack, urls: dict[str, str]) -> None:
    weakness = stack.plan.weakness
    program = ["middleware.lab.chaos.weakness", weakness] if weakness else ["middleware"]
    for number in range(1, stack.plan.receivers + 1):
        port = free_port()
        stack.addresses.append(f"http://127.0.0.1:{port}")
        environment = _environment(stack, urls, port)
        stack.receivers.append(Part(f"receiver{number}", [*program, "serve"], environment, stack.folder))
    environment = _environment(stack, urls, 0)
    for number in range(1, stack.plan.workers + 1):
        stack.workers.append(Part(f"worker{number}", [*program, "worker"], environment, stack.folder))


def _environment(stack: Stack, urls: dict[str, str], port: int) -> dict[str, str]:
    taiga = {"TAIGA_API": f"{urls['taiga']}/api/v1", "TAIGA_USERNAME": BRIDGE, "TAIGA_PASSWORD": PASSWORD}
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "DATABASE_URL": stack.postgres.url,
        "REDIS_URL": stack.redis.url,
        "TAIGA_WEBHOOK_SECRETS": DEFAULT_KEY,
        **(taiga if stack.plan.reads_taiga else {}),
        "STRIPE_API_BASE": urls["stripe"],
        "STRIPE_API_KEY": STRIPE_KEY,
        "STRIPE_WEBHOOK_SECRETS": STRIPE_SECRET,
        "STRIPE_MAX_RATE": "0",
        "INVOICE_NINJA_API": f"{urls['ninja']}/api/v1",
        "INVOICE_NINJA_TOKEN": NINJA_TOKEN,
        "RECONCILE_TAIGA_MINUTES": "0",
        "PORT": str(port),
        "WORKER_PORT": "0",
        "SWEEP_SECONDS": "0.5",
        "WRITE_BACK_QUIET_SECONDS": "0.5",
        "SHUTDOWN_SECONDS": "5",
        "SECOND_LOOK_MINUTES": "0.05",
        "LOG_FORMAT": "json",
    }


def _write_mapping(stack: Stack) -> None:
    projects = [
        {"taiga_project_id": project, "invoiceninja_client_id": stack.client_ids[project], "default_hourly_rate": rate}
        for project, rate in PROJECT_RATES.items()
    ]
    on_refund = "close" if stack.plan.closes_refunds else "reopen"
    rules = {"rounding": "quarter_hour", "timezone": "Europe/Brussels", "on_refund": on_refund}
    text = json.dumps({"project_mappings": projects, "billing_rules": rules})
    (stack.folder / "mappings.json").write_text(text, encoding="utf-8")


async def _fill_books(stack: Stack, url: str) -> None:
    """Clients, and the invoices that will be paid."""
    chance = random.Random(stack.plan.seed)  # noqa: S311 - repeatable
    headers = {"X-API-TOKEN": NINJA_TOKEN, "Accept": "application/json"}
    async with aiohttp.ClientSession(f"{url}/api/v1/", headers=headers, trust_env=False) as http:
        for project, number in CLIENTS.items():
            client = await _post(http, "clients", {"name": number.title(), "number": number})
            stack.client_ids[project] = client["id"]
        for count in range(stack.plan.payments):
            # A client of its own for most: equal payments of one client are a story of their own.
            payer = await _post(http, "clients", {"name": f"Payer {count}", "settings": {"currency_id": "3"}})
            cents = chance.randint(1000, 90_000)
            line = {"product_key": "work", "notes": "", "quantity": 1, "cost": cents / 100}
            invoice = await _post(http, "invoices?mark_sent=true", {"client_id": payer["id"], "line_items": [line]})
            stack.bills.append(Bill(invoice["number"], payer["id"], cents))


async def _post(http: aiohttp.ClientSession, path: str, body: object) -> dict[str, str]:
    async with http.post(path, json=body) as answer:
        if answer.status != 200:  # noqa: PLR2004 - Invoice Ninja says so for new records, too
            raise RuntimeError(f"POST {path}: {answer.status} {await answer.text()}")
        data: dict[str, str] = (await answer.json())["data"]
        return data


async def _until_ready(stack: Stack) -> None:
    async with aiohttp.ClientSession(trust_env=False) as http, asyncio.timeout(START_SECONDS) as limit:
        for part, address in zip(stack.receivers, stack.addresses, strict=True):
            while not await _answers(http, f"{address}/readyz"):
                if not part.is_running:
                    limit.reschedule(None)
                    raise RuntimeError(f"{part.name} did not start: {part.log.read_text()[-1500:]}")
                await asyncio.sleep(0.05)


async def alive(stack: Stack, beating: Sequence[str]) -> list[str]:
    """The parts that do their work: receivers that are ready, workers whose heart beats (`beating`: host:process)."""
    async with aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=5)) as http:
        receivers = [
            part.name
            for part, address in zip(stack.receivers, stack.addresses, strict=True)
            if await _answers(http, f"{address}/readyz")
        ]
    beats = {identity.rpartition(":")[2] for identity in beating}
    return receivers + [part.name for part in stack.workers if str(part.process_id) in beats]


async def _answers(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url) as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False


async def _end_parts(stack: Stack) -> None:
    for part in stack.parts:
        await part.end(signal.SIGKILL)
