"""What a balance of many hours costs: `taiga-billing balance hours` in a process of its own, against a full sandbox."""

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from middleware.lab.bench.stack import Ground
from middleware.lab.sandbox.invoiceninja import NinjaState, create_app, records
from middleware.lab.sandbox.invoiceninja.shapes import CLIENT, INVOICE, LINE, TASK
from middleware.lab.sandbox.serve import serve
from middleware.store.database import migrate

ON_ONE_INVOICE = 10
BILLED_OF_TEN = 9
BEGAN = 1_764_576_000
HOUR = 3600
ENTRIES_OF_CLIENT = 100


@dataclass(frozen=True, slots=True)
class Balanced:
    """Wall time, its own processor time and largest resident memory of the command, and what it said last."""

    entries: int
    seconds: float
    cpu_seconds: float
    peak_mb: float
    said: str


async def measure_balance(ground: Ground, entries: int) -> Balanced:
    """Fill Invoice Ninja and the store with entries, most of them billed, and add them up."""
    state = NinjaState(token="bench-token")  # noqa: S106 - that of the bench
    links = _fill(state, entries)
    await migrate(ground.database_url)
    await _remember(ground, links)
    clients = [row.id for row in state.tables["clients"]]
    mapping: dict[str, Any] = {"client_rules": {client: {} for client in clients}}
    (ground.folder / "mappings.json").write_text(json.dumps(mapping))
    async with serve(create_app(state)) as url:
        port = int(url.rpartition(":")[2])
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "middleware", "balance", "hours"),
            env=ground.environment(0, port, {}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = used.ru_utime + used.ru_stime
    return Balanced(entries, seconds, cpu_seconds, used.ru_maxrss / 1000, out.decode().strip().rpartition("\n")[2])


def _fill(state: NinjaState, entries: int) -> list[tuple[str, str, str, str, str]]:
    """Clients, tasks and invoices; returns the links of the entries as rows of the store."""
    stamps = {**records.born(state), "archived_at": 0, "is_deleted": False}
    links: list[tuple[str, str, str, str, str]] = []
    for first in range(0, entries, ON_ONE_INVOICE):
        if first % ENTRIES_OF_CLIENT == 0:
            client = state.tables["clients"].add({**CLIENT, **stamps, "name": f"Client {first}", "number": f"C{first}"})
        invoice = state.tables["invoices"].add(
            {**INVOICE, **stamps, "client_id": client.id, "number": f"I{first}", "date": "2025-12-31"}
        )
        lines = []
        for number in range(first, min(first + ON_ONE_INVOICE, entries)):
            is_billed = number % ON_ONE_INVOICE < BILLED_OF_TEN
            began = BEGAN + number
            values = {
                "client_id": client.id,
                "number": f"TAIGA-T{number}",
                "invoice_id": invoice.id if is_billed else "",
            }
            log = f'[[{began},{began + HOUR},"",true]]'
            task = state.tables["tasks"].add({**TASK, **stamps, **values, "time_log": log, "rate": 80}, {"hash": ""})
            if is_billed:
                lines.append({**LINE, "task_id": task.id, "quantity": 1, "cost": 80, "type_id": "2"})
            links.append(_link(number, task.id, client.id, began))
        invoice.data["line_items"] = lines
    return links


def _link(number: int, task_id: str, client_id: str, began: int) -> tuple[str, str, str, str, str]:
    sent: dict[str, Any] = {"hours": "1", "client_id": client_id, "started_at": began, "ended_at": began + HOUR}
    state = {"sent": sent, "stored": {"time_log": [[began, began + HOUR]]}}
    return f"taiga:task:{number}", "time_entry", f"TAIGA-T{number}", task_id, json.dumps(state)


async def _remember(ground: Ground, links: list[tuple[str, str, str, str, str]]) -> None:
    connection = await asyncpg.connect(ground.database_url)
    try:
        await connection.executemany(
            "INSERT INTO links (subject, kind, number, remote_id, state) VALUES ($1, $2, $3, $4, $5::jsonb)", links
        )
        await connection.execute("ANALYZE links")
    finally:
        await connection.close()
