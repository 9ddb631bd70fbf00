"""`taiga-billing reconcile stripe` (docs/payments.md)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from handlers.errors import RemoteError
from handlers.reconcile_stripe import Progress as Tell
from handlers.reconcile_stripe_world import Difference, Report, Scope
from middleware.commands.ages import Ago
from middleware.commands.common import (
    DIFFERENCES,
    FailedError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.ingest import Ingest
from middleware.queue import Wakeups, open_queue
from middleware.reconcile.opening import open_stripe_and_books
from middleware.reconcile.stripe import AlreadyRunningError, Tools, reconcile
from middleware.settings import Settings
from middleware.store.events import EventStore


@click.command("stripe")
@click.option("--since", type=Ago(), default="7d", show_default=True, help="What moved since: 30d, 12h, or 2026-11-01.")
@click.option("--dry-run", is_flag=True, help="Only show what would be put in; exit code 3 when there is something.")
@json_option
def reconcile_stripe(*, since: datetime, dry_run: bool, as_json: bool) -> None:
    """Compare payments, refunds and disputes at Stripe with Invoice Ninja, and put in what it lacks.

    Exit code 0: done (or nothing to do), 1: something could not be looked at, 3: --dry-run found differences.
    """
    with servers_behind(settings_or_exit()) as settings, _progress() as tell:
        report = run(_reconcile(settings, Scope(since), tell, dry_run=dry_run))
    if as_json:
        print_json({**report.as_json(), "dry_run": dry_run})
    else:
        _print(report, dry_run=dry_run)
    if report.problems:
        raise click.exceptions.Exit(1)
    if dry_run and report.differences:
        raise click.exceptions.Exit(DIFFERENCES)


async def _reconcile(settings: Settings, scope: Scope, tell: Tell, *, dry_run: bool) -> Report:
    wakeups = None if dry_run else Wakeups(open_queue(settings.redis_url.get_secret_value()))
    try:
        async with store(settings) as pool, open_stripe_and_books(settings) as (stripe, books):
            ingest = Ingest(EventStore(pool), wakeups) if wakeups else None
            return await reconcile(Tools(stripe, books, pool, ingest), scope, "manual", tell)
    except (AlreadyRunningError, RemoteError) as error:
        raise FailedError(str(error)) from error
    finally:
        if wakeups is not None:
            await wakeups.stop()


@contextmanager
def _progress() -> Iterator[Tell]:
    """A line on stderr that tells how far it is, when somebody watches."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        line = progress.add_task("looking at Stripe")
        yield lambda text, count: progress.update(line, description=f"{text}: {count}")


def _print(report: Report, *, dry_run: bool) -> None:
    verb = "would be put in" if dry_run else "put in"
    _print_lines(report.differences, verb)
    _print_lines(report.under_way, "under way already")
    _print_lines(report.told_before, "put in before, and ended otherwise")
    for problem in report.problems:
        click.echo(f"not looked at: {problem}", err=True)
    rest = [f"{report.waiting} wait for a person (taiga-billing payments unmatched)"] if report.waiting else []
    rest += [f"{report.postponed} left to the next run"] if report.postponed else []
    counted = f"{report.looked_at} payments compared, {len(report.differences)} {verb}"
    click.echo("; ".join([counted, *rest]))


def _print_lines(found: Sequence[Difference], what: str) -> None:
    for one in found:
        event = f" (event {one.event})" if one.event else ""
        click.echo(f"{one.identity}  {one.amount}  {what}: {one.why}{event}")
