"""What `invoices plan` over much work costs: `python -m tests.bench.plan_invoices [entries] [clients]`.

The sandbox runs here, the command runs in a process of its own, whose peak memory is told.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from mappings.invoices.period import parse_period
from middleware.embedded import embedded_servers
from middleware.lab.sandbox.faults import Faults
from middleware.lab.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from middleware.lab.sandbox.invoiceninja.shapes import CLIENT, TASK
from middleware.lab.sandbox.serve import serve
from middleware.store.database import migrate
from tests.bench.measuring import measure

MONTH = parse_period("2025-12", "Europe/Brussels")


def fill(state: NinjaState, entries: int, clients: int) -> list[str]:
    """Clients and their time, put right into the sandbox's memory; returns the ids of the clients."""
    ids = [state.tables["clients"].add({**CLIENT, "name": f"Client {n}"}, {}).data["id"] for n in range(clients)]
    for n in range(entries):
        end = MONTH.ends_at - 60 - n * 50
        log = json.dumps([[end - 3_600 - n % 900, end, "", True]])
        row = {"client_id": ids[n % clients], "number": f"N{n}", "description": f"Task #{n}: some work", "rate": 80}
        state.tables["tasks"].add({**TASK, **row, "time_log": log}, {})
    return ids


async def main(entries: int, clients: int) -> None:
    """Plan everything once."""
    state, faults = NinjaState(), Faults()
    ids = fill(state, entries, clients)
    with tempfile.TemporaryDirectory() as name, embedded_servers(Path(name), postgres=True, redis=True) as servers:
        url = servers.database_url or ""
        await migrate(url)
        mapping = Path(name) / "mappings.json"
        rules = {"client_rules": {one: {} for one in ids}, "billing_rules": {"timezone": MONTH.timezone}}
        await asyncio.to_thread(mapping.write_text, json.dumps(rules))
        async with serve(create_app(state, faults)) as ninja_url:
            environment = {
                **os.environ,
                "TAIGA_WEBHOOK_SECRETS": "secret",
                "INVOICE_NINJA_API": f"{ninja_url}/api/v1",
                "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
                "MAPPINGS_FILE": str(mapping),
                "DATABASE_URL": url,
                "REDIS_URL": servers.redis_url or "",
                "LOG_LEVEL": "error",
            }
            told = await measure(["invoices", "plan", "--month", MONTH.name], environment)
    shown = f"{told.printed.splitlines()[-1]}: {told.cost}"
    sys.stdout.write(f"{shown}, {len(faults.requests)} requests to Invoice Ninja\n")


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    asyncio.run(main(*(given or [50_000]), *([] if len(given) > 1 else [500])))
