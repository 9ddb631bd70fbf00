"""Time and memory of `reconcile stripe` and `balance money`: `python -m tests.bench.reconcile_stripe [payments]`.

The sandbox servers run here, the command runs in a process of its own, whose peak memory is told.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from handlers.ports.billing import PaymentRecord
from middleware.embedded import embedded_servers
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState
from middleware.lab.sandbox.invoiceninja import create_app as create_ninja
from middleware.lab.sandbox.serve import serve
from middleware.lab.sandbox.stripe import StripeState, create_app
from middleware.lab.sandbox.stripe.people import StripePeople
from middleware.store.billing.payments import PaymentStore
from middleware.store.database import migrate, open_pool
from tests.bench.measuring import measure

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
        at_stripe, at_ninja = Faults(), Faults()
        apps = create_app(account, at_stripe), create_ninja(ninja, at_ninja)
        async with serve(apps[0]) as stripe_url, serve(apps[1]) as ninja_url:
            environment = {
                "PATH": os.environ.get("PATH", ""),
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
                at_stripe.requests.clear()
                at_ninja.requests.clear()
                told = await measure(["reconcile", "stripe", "--json", *arguments], environment)
                name = " ".join(arguments) or "real run"
                asked = f"{len(at_stripe.requests)} requests to Stripe, {len(at_ninja.requests)} to Invoice Ninja"
                sys.stdout.write(f"{name}: {found(told.printed)}, {told.cost}, {asked}\n")
            at_stripe.requests.clear()
            told = await measure(["balance", "money", "--json"], environment)
            asked = f"{len(at_stripe.requests)} requests to Stripe"
            sys.stdout.write(f"balance money: {counted(told.printed)}, {told.cost}, {asked}\n")


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
        # The balance counts what came since the installation.
        await pool.execute("UPDATE migrations SET applied_at = applied_at - interval '1 day'")
        store = PaymentStore(pool)
        for intent in intents:
            key = intent["id"]
            record = PaymentRecord(key, f"stripe:payment:{key}", "paid", amount=intent["amount"], currency="EUR")
            await store.save(record)


def counted(printed: str) -> str:
    """What the balance of money counted, in words."""
    report = json.loads(printed)
    return f"{sum(one['payments'] for one in report['currencies'])} counted, {len(report['differing'])} differ"


def found(printed: str) -> str:
    """What a run found, in words."""
    report = json.loads(printed)
    return f"{report['looked_at']} compared, {len(report['differences'])} found"


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
