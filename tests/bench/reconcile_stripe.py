"""Time and memory of `reconcile stripe` over many payments: `python -m tests.bench.reconcile_stripe [payments]`.

The sandbox servers run here, the command runs in a process of its own, whose peak memory is told.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from handlers.payment_world import PaymentRecord
from middleware.embedded import embedded_servers
from middleware.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState
from middleware.sandbox.invoiceninja import create_app as create_ninja
from middleware.sandbox.serve import serve
from middleware.sandbox.stripe import StripeState, create_app
from middleware.sandbox.stripe.people import StripePeople
from middleware.store.database import migrate, open_pool
from middleware.store.payments import PaymentStore

ROOT = Path(__file__).parents[2]
KIBIBYTES = 1024
LOST_EVERY = 3
"""Every third payment is not known to us."""


async def main(payments: int) -> None:
    """Measure one dry and one real run."""
    account, ninja = StripeState(), NinjaState()
    account.hold, account.record_events = True, False
    people = StripePeople(account)
    intents = [people.pay(1000 + number, "eur") for number in range(payments)]
    for intent in intents[:: LOST_EVERY * 5]:
        people.refund(intent["id"])
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_servers(Path(folder), postgres=True, redis=True, durable=False) as servers,
    ):
        url = servers.database_url or ""
        await migrate(url)
        await remember([one for index, one in enumerate(intents) if index % LOST_EVERY], url)
        async with serve(create_app(account)) as stripe_url, serve(create_ninja(ninja)) as ninja_url:
            environment = {
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(ROOT),
                "STRIPE_API_KEY": "sk_test_sandbox",
                "STRIPE_API_BASE": stripe_url,
                "STRIPE_WEBHOOK_SECRETS": "whsec_test",
                "INVOICE_NINJA_API": f"{ninja_url}/api/v1",
                "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
                "SOURCES": "stripe",
                "DATABASE_URL": url,
                "REDIS_URL": servers.redis_url or "",
                "LOG_LEVEL": "error",
            }
            await fill_books(ninja, ninja_url, [one for index, one in enumerate(intents) if index % LOST_EVERY])
            for arguments in (["--dry-run"], []):
                await measure(arguments, environment)


async def fill_books(ninja: NinjaState, url: str, intents: list[Any]) -> None:
    """Payments in Invoice Ninja, copied from one that the server made: making each would take hours."""
    headers = {"X-API-TOKEN": DEFAULT_TOKEN, "Accept": "application/json"}
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers=headers, trust_env=False) as http:
        client = (await http.post("/clients", json={"name": "Acme"})).json()["data"]["id"]
        body = {"client_id": client, "amount": 1, "date": "2026-11-01", "number": "x"}
        (await http.post("/payments", json=body)).raise_for_status()
    table = ninja.tables["payments"]
    template = next(iter(table))
    for intent in intents:
        named = {"number": intent["id"], "transaction_reference": intent["id"], "amount": intent["amount"] / 100}
        table.add({**template.data, **named}, dict(template.private))


async def remember(intents: list[Any], url: str) -> None:
    """Make payments known."""
    async with open_pool(url, size=4) as pool:
        store = PaymentStore(pool)
        for intent in intents:
            key = intent["id"]
            record = PaymentRecord(key, f"stripe:payment:{key}", "paid", amount=intent["amount"], currency="EUR")
            await store.save(record)


async def measure(arguments: list[str], environment: dict[str, str]) -> None:
    """Run the command once and print what it took."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRAPPER,
        *("reconcile", "stripe", "--json", *arguments),
        env=environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    report, _, peak = out.decode().rpartition("PEAK ")
    counts = {name: value for name, value in json.loads(report).items() if isinstance(value, int)}
    found = len(json.loads(report)["differences"])
    seconds, mebibytes = time.monotonic() - started, int(peak) // KIBIBYTES
    name = " ".join(arguments) or "real run"
    sys.stdout.write(f"{name}: {seconds:.1f} s, peak {mebibytes} MiB, {found} found, {counts}\n")


WRAPPER = """
import resource, sys
from middleware.cli import group
try:
    group(sys.argv[1:], standalone_mode=False)
except BaseException as end:
    code = getattr(end, "exit_code", None)
    if code is None:
        raise
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
