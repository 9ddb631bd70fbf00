"""What `invoices plan` over much work costs: `python -m tests.bench.plan_invoices [entries] [clients]`.

The sandbox runs here, the command runs in a process of its own, whose peak memory is told.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from mappings.invoicing.period import parse_period
from middleware.embedded import embedded_servers
from middleware.sandbox.faults import Faults
from middleware.sandbox.invoiceninja import DEFAULT_TOKEN, NinjaState, create_app
from middleware.sandbox.invoiceninja.shapes import CLIENT, TASK
from middleware.sandbox.serve import serve
from middleware.store.database import migrate

ROOT = Path(__file__).parents[2]
MONTH = parse_period("2025-12", "Europe/Brussels")
KIBIBYTES = 1024


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
                "PYTHONPATH": str(ROOT),
                "TAIGA_WEBHOOK_SECRETS": "secret",
                "INVOICE_NINJA_API": f"{ninja_url}/api/v1",
                "INVOICE_NINJA_TOKEN": DEFAULT_TOKEN,
                "MAPPINGS_FILE": str(mapping),
                "DATABASE_URL": url,
                "REDIS_URL": servers.redis_url or "",
                "LOG_LEVEL": "error",
            }
            told = await measure(environment)
    sys.stdout.write(f"{told}, {len(faults.requests)} requests to Invoice Ninja\n")


async def measure(environment: dict[str, str]) -> str:
    """Run the command once; returns what it took, in words."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WRAPPER,
        *("invoices", "plan", "--month", MONTH.name),
        env=environment,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    printed, _, measured = out.decode().rpartition("MEASURED ")
    peak, cpu = measured.split()
    seconds, mebibytes = time.monotonic() - started, int(peak) // KIBIBYTES
    return f"{printed.splitlines()[-1]}: {seconds:.1f} s ({float(cpu):.1f} s of CPU), peak {mebibytes} MiB"


WRAPPER = """
import resource, sys
from middleware.cli import group
group(sys.argv[1:], standalone_mode=False)
used = resource.getrusage(resource.RUSAGE_SELF)
print("MEASURED", used.ru_maxrss, used.ru_utime + used.ru_stime)
"""

if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    asyncio.run(main(*(given or [50_000]), *([] if len(given) > 1 else [500])))
