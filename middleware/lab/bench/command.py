"""`taiga-billing bench`, with `abuse`, `scale`, `balance`, `soak` and `chaos`."""

import logging
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from middleware.commands.common import FailedError, json_option, print_json, run
from middleware.embedded import EmbeddedServerError, embedded_servers
from middleware.lab.bench import stack
from middleware.lab.bench.abuse import Endured, endure
from middleware.lab.bench.balance import measure_balance
from middleware.lab.bench.report import QUICK, Plan, print_result, run_bench
from middleware.lab.bench.scale import measure_scale
from middleware.lab.bench.scale import soak as measure_soak
from middleware.lab.bench.stack import Ground
from middleware.logs import configure_logs


@click.group("bench", invoke_without_command=True)
@click.option("--quick", is_flag=True, help="A few seconds instead of minutes: shows that the bench works.")
@click.option("--runs", type=click.IntRange(1, 20), help="Medians are taken over this many runs.")
@json_option
@click.pass_context
def command(context: click.Context, *, quick: bool, runs: int | None, as_json: bool) -> None:
    """Measure receiver, worker, latency and memory against a stub Invoice Ninja, on servers of its own."""
    configure_logs("console", "warning")
    if context.invoked_subcommand is not None:
        return
    plan = QUICK if quick else Plan(runs=runs or 3)
    with _own_ground() as ground:
        result = run(run_bench(ground, plan))
    if as_json:
        print_json(result.as_json())
    else:
        print_result(result)


@contextmanager
def _own_ground() -> Iterator[Ground]:
    """Servers and a folder of the bench's own, gone in the end."""
    with tempfile.TemporaryDirectory(prefix="taiga-billing-bench-") as name:
        try:
            with embedded_servers(Path(name), postgres=True, redis=True) as servers:
                yield Ground(servers.database_url or "", servers.redis_url or "", Path(name))
        except EmbeddedServerError as error:
            raise FailedError(str(error)) from error


@command.command("abuse")
@click.option("--seconds", type=click.FloatRange(1), default=30.0, show_default=True, help="How long.")
@click.option("--rate", type=click.FloatRange(1), default=1000.0, show_default=True, help="Garbage a second.")
@json_option
def abuse(*, seconds: float, rate: float, as_json: bool) -> None:
    """Send garbage in bulk; exit code 1 unless every valid webhook between it is acknowledged."""
    configure_logs("console", "error")
    with _own_ground() as ground:
        endured = run(_endure(ground, seconds, rate))
    if as_json:
        print_json(endured)
    else:
        click.echo(
            f"{endured.garbage} requests of garbage in {seconds:.0f} s ({endured.garbage / seconds:.0f} a second); "
            f"{endured.valid} valid webhooks, "
            f"{sum(endured.refused.values())} of them not acknowledged, 99 % within {endured.p99_ms:.0f} ms, "
            f"the slowest after {endured.slowest_ms:.0f} ms; "
            f"{endured.attacks} hostile connections, at most {endured.peak_mb:.0f} MB"
        )
    if not endured.is_right:
        raise FailedError(f"not acknowledged: {dict(endured.refused)}; memory {endured.peak_mb:.0f} MB")


async def _endure(ground: Ground, seconds: float, rate: float) -> Endured:
    async with stack.receiver(ground) as server:
        return await endure(server.port, server.pid, seconds, rate)


@command.command("scale")
@click.option("--events", type=click.IntRange(1), default=1_000_000, show_default=True, help="Finished events.")
@json_option
def scale(*, events: int, as_json: bool) -> None:
    """Measure receiver and worker on an empty store and on one full of finished events."""
    with _own_ground() as ground:
        result = run(measure_scale(ground, events))
    if as_json:
        print_json(result)
        return
    accepted = (result.empty_accepted.per_second, result.full_accepted.per_second)
    completed = (result.empty_completed.per_second, result.full_completed.per_second)
    for what, (empty, full) in (("accepted", accepted), ("completed", completed)):
        click.echo(
            f"{what}: {empty:,.0f} a second on an empty store, {full:,.0f} with {events:,} finished events"
            f" ({full / empty:.0%})"
        )


@command.command("balance")
@click.option(
    "--entries", type=click.IntRange(10), default=50_000, show_default=True, help="Entries, most of them billed."
)
@json_option
def balance(*, entries: int, as_json: bool) -> None:
    """Measure what a balance of many hours costs; exit code 1 when it does not add up."""
    configure_logs("console", "error")
    with _own_ground() as ground:
        result = run(measure_balance(ground, entries))
    if as_json:
        print_json(result)
    else:
        click.echo(
            f"{entries:,} entries in {result.seconds:.1f} s ({result.cpu_seconds:.1f} s of its own processor time),"
            f" at most {result.peak_mb:.0f} MB: {result.said}"
        )
    if not result.said.endswith("add up"):
        raise FailedError(result.said)


@command.command("soak")
@click.option("--events", type=click.IntRange(20_000), default=200_000, show_default=True, help="Webhooks to work off.")
@json_option
def soak(*, events: int, as_json: bool) -> None:
    """Send many webhooks through the whole stack and see whether memory stays flat."""
    with _own_ground() as ground:
        noted = run(measure_soak(ground, events))
    if as_json:
        print_json(noted)
        return
    for one in noted:
        click.echo(f"after {one.events:,} events: receiver {one.receiver_mb:.0f} MB, worker {one.worker_mb:.0f} MB")


@command.command("chaos")
@click.option("--seed", type=int, help="Repeat the decisions of an earlier run; chosen by chance when left out.")
@click.option("--webhooks", type=click.IntRange(1), default=5000, show_default=True, help="Deliveries at least.")
@click.option("--seconds", type=click.FloatRange(1), default=45.0, show_default=True, help="How long things break.")
@click.option("--no-taiga", is_flag=True, help="Without credentials for Taiga: the webhooks alone are believed.")
@click.option("--closes-refunds", is_flag=True, help="Refunds are settled by credits instead of being owed again.")
@click.option("--short", "is_short", is_flag=True, help="A few hundred webhooks in a quarter of a minute.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep logs and data in this folder.")
@json_option
def chaos(
    *,
    seed: int | None,
    webhooks: int,
    seconds: float,
    no_taiga: bool,
    closes_refunds: bool,
    is_short: bool,
    keep: Path | None,
    as_json: bool,
) -> None:
    """Kill everything again and again while people work, then count what arrived; exit code 1 on any difference."""
    from middleware.lab.chaos import plan as plans  # noqa: PLC0415
    from middleware.lab.chaos import report  # noqa: PLC0415
    from middleware.lab.chaos.run import run as run_chaos  # noqa: PLC0415

    seed = random.randrange(1_000_000) if seed is None else seed  # noqa: S311 - repeatable
    plan = plans.short(seed) if is_short else plans.Plan(seed, webhooks=webhooks, storm_seconds=seconds)
    plan = replace(plan, reads_taiga=not no_taiga, closes_refunds=closes_refunds)
    configure_logs("console", "error")
    # The sandboxes are cut off in the middle of requests, on purpose.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="taiga-billing-chaos-") as name:
        folder = keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            result = run(run_chaos(plan, folder))
        except (EmbeddedServerError, RuntimeError) as error:
            raise FailedError(str(error)) from error
    if as_json:
        print_json(report.as_json(result))
    else:
        report.print_result(result)
    if not result.is_right:
        raise FailedError(f"the count found differences; repeat with --seed {seed}")
