"""`taiga-billing bench`."""

import tempfile
from pathlib import Path

import click

from middleware.bench.report import QUICK, Plan, print_result, run_bench
from middleware.bench.stack import Ground
from middleware.commands.common import FailedError, json_option, print_json, run
from middleware.embedded import EmbeddedServerError, embedded_servers
from middleware.logs import configure_logs


@click.command("bench")
@click.option("--quick", is_flag=True, help="A few seconds instead of minutes: shows that the bench works.")
@click.option("--runs", type=click.IntRange(1, 20), help="Medians are taken over this many runs.")
@json_option
def command(*, quick: bool, runs: int | None, as_json: bool) -> None:
    """Measure receiver, worker, latency and memory against a stub Invoice Ninja, on servers of its own."""
    configure_logs("console", "warning")
    plan = QUICK if quick else Plan(runs=runs or 3)
    with tempfile.TemporaryDirectory(prefix="taiga-billing-bench-") as name:
        folder = Path(name)
        try:
            with embedded_servers(folder, postgres=True, redis=True) as servers:
                ground = Ground(servers.database_url or "", servers.redis_url or "", folder)
                result = run(run_bench(ground, plan))
        except EmbeddedServerError as error:
            raise FailedError(str(error)) from error
    if as_json:
        print_json(result.as_json())
    else:
        print_result(result)
