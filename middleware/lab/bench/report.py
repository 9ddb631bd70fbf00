"""Runs the measurements several times, takes medians and prints them beside the floors."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from middleware.lab.bench import measure, stack
from middleware.lab.bench.machine import descendants, description
from middleware.lab.bench.measure import Acknowledged, Completed, Latency, Memory
from middleware.lab.bench.stack import Ground

_Row = TypeVar("_Row", Acknowledged, Completed, Latency, Memory)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    runs: int = 3
    connections: tuple[int, ...] = (1, 8, 32, 128)
    requests: int = 6000
    backlog: int = 3000
    rates: tuple[tuple[float, int], ...] = ((2, 20), (50, 300))
    idle_seconds: float = 5


QUICK = Plan(runs=1, connections=(1, 8), requests=400, backlog=300, rates=((20, 20),), idle_seconds=1)


@dataclass(slots=True)
class Result:
    """Everything that was measured, medians over the runs."""

    machine: str
    floors: dict[str, list[Acknowledged]] = field(default_factory=dict)
    receiver: list[Acknowledged] = field(default_factory=list)
    completed: list[Completed] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    memory: Memory | None = None

    def as_json(self) -> dict[str, Any]:
        """The result for `--json`."""
        return {**asdict(self), "ratios": self.ratios()}

    def ratios(self) -> dict[int, float]:
        """Accepted webhooks a second beside the shared-commit floor, by connections."""
        floor = {row.connections: row.per_second for row in self.floors.get("commit", [])}
        return {row.connections: row.per_second / floor[row.connections] for row in self.receiver}


async def run_bench(ground: Ground, plan: Plan) -> Result:
    """Measure everything; takes a few minutes."""
    stack.write_mapping(ground.folder)
    result = Result(description())
    floors: dict[str, list[list[Acknowledged]]] = {"hmac": [], "commit": []}
    ours: list[list[Acknowledged]] = []
    for _ in range(plan.runs):
        for kind, rows in floors.items():
            async with stack.floor(ground, kind) as server:
                rows.append([await measure.acknowledged(server, n, plan.requests) for n in plan.connections])
        async with stack.receiver(ground) as server:
            ours.append([await measure.acknowledged(server, n, plan.requests) for n in plan.connections])
    result.floors = {kind: _medians(rows) for kind, rows in floors.items()}
    result.receiver = _medians(ours)
    await _work_off(ground)
    for workers, delay in ((1, 0.0), (1, 50.0), (2, 50.0)):
        runs = [[await measure.completed(ground, workers, delay, plan.backlog)] for _ in range(plan.runs)]
        result.completed += _medians(runs)
    async with measure.whole_stack(ground) as (stub, server, one):
        result.latency = [await measure.latency(stub, server, rate, events) for rate, events in plan.rates]
        result.memory = await measure.memory(server, one, _servers(), plan.idle_seconds)
    return result


async def _work_off(ground: Ground) -> None:
    """Finish what the measurements of the receiver stored."""
    async with stack.stub(ground) as stub, stack.worker(ground, stub.port):
        await measure.until_done(ground)


def _servers() -> list[int]:
    """PostgreSQL, Redis and their processes: all that this process started."""
    return descendants(os.getpid())


def _medians(runs: Sequence[Sequence[_Row]]) -> list[_Row]:
    """Field by field, the median over the runs."""
    merged = []
    for rows in zip(*runs, strict=True):
        values = [asdict(row) for row in rows]
        merged.append(type(rows[0])(**{name: median(value[name] for value in values) for name in values[0]}))
    return merged


def print_result(result: Result) -> None:
    """The tables for people."""
    console = Console()
    console.print(f"[bold]{result.machine}[/]")
    console.print(_acknowledged_table(result))
    console.print(_completed_table(result))
    console.print(_latency_table(result))
    if result.memory:
        console.print(
            f"memory: receiver {result.memory.receiver_mb:.0f} MB, worker {result.memory.worker_mb:.0f} MB;"
            f" idle stack {result.memory.idle_percent:.1f} % of a core"
        )


def _acknowledged_table(result: Result) -> Table:
    table = Table(title="webhooks accepted", title_justify="left")
    for heading in ("server", "connections", "per s", "p50 ms", "p99 ms", "max ms", "CPU us", "of the floor"):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    ratios = result.ratios()
    named = [("floor: HMAC", result.floors["hmac"]), ("floor: shared commit", result.floors["commit"])]
    for name, rows in [*named, ("receiver", result.receiver)]:
        for row in rows:
            ratio = f"{ratios[row.connections]:.0%}" if name == "receiver" else ""
            times = [f"{value:.2f}" for value in (row.p50_ms, row.p99_ms, row.max_ms)]
            table.add_row(name, str(row.connections), f"{row.per_second:,.0f}", *times, f"{row.receiver_us:.0f}", ratio)
    return table


def _completed_table(result: Result) -> Table:
    table = Table(title="events completed", title_justify="left")
    for heading in ("workers", "Invoice Ninja ms", "per s", "worker CPU us", "requests per event"):
        table.add_column(heading, justify="right")
    for row in result.completed:
        costs = (f"{row.per_second:,.0f}", f"{row.worker_us:.0f}", f"{row.requests_per_event:.2f}")
        table.add_row(str(row.workers), f"{row.delay_ms:.0f}", *costs)
    return table


def _latency_table(result: Result) -> Table:
    table = Table(title="webhook -> request to Invoice Ninja", title_justify="left")
    for heading in ("webhooks per s", "p50 ms", "p99 ms", "ack p50 ms"):
        table.add_column(heading, justify="right")
    for row in result.latency:
        table.add_row(f"{row.per_second:g}", *(f"{value:.1f}" for value in (row.p50_ms, row.p99_ms, row.ack_p50_ms)))
    return table
