"""`taiga-billing reconcile`: finds what no webhook told, and puts it in. One sub-command for each source."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from handlers.errors import RemoteError
from handlers.reconcile_taiga import Progress as Tell
from handlers.reconcile_world import Report, Scope
from middleware.bootstrap import load_mapping, open_taiga
from middleware.commands.ages import Ago
from middleware.commands.common import (
    DIFFERENCES,
    FailedError,
    WrongUseError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.reconcile_stripe import reconcile_stripe
from middleware.ingest import Ingest
from middleware.queue import Wakeups, open_queue
from middleware.reconcile.taiga import AlreadyRunningError, Tools, reconcile
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.store.events import EventStore


@click.group("reconcile")
def command() -> None:
    """Find what no webhook told and put it in."""


command.add_command(reconcile_stripe)


@command.command("taiga")
@click.option("--since", type=Ago(), help="Only items that Taiga calls modified since: 30d, 12h, or 2026-11-01.")
@click.option("--project", "project_id", type=int, help="Only this Taiga project (its number).")
@click.option("--reread", type=click.IntRange(0), default=500, show_default=True, help="Unchanged items to read again.")
@click.option("--dry-run", is_flag=True, help="Only show what would be put in; exit code 3 when there is something.")
@json_option
def reconcile_taiga(
    *, since: datetime | None, project_id: int | None, reread: int, dry_run: bool, as_json: bool
) -> None:
    """Compare the closed work in Taiga with the events, and put in what they do not know.

    Exit code 0: done (or nothing to do), 1: something could not be looked at, 3: --dry-run found differences.
    """
    scope = Scope(since=since, project_id=project_id, rolling=reread, most_reads=100_000)
    with servers_behind(settings_or_exit()) as settings, _progress() as tell:
        report = run(_reconcile(settings, scope, tell, dry_run=dry_run))
    if as_json:
        print_json({**report.as_json(), "dry_run": dry_run})
    else:
        _print(report, dry_run=dry_run)
    if report.problems:
        raise click.exceptions.Exit(1)
    if dry_run and report.differences:
        raise click.exceptions.Exit(DIFFERENCES)


async def _reconcile(settings: Settings, scope: Scope, tell: Tell, *, dry_run: bool) -> Report:
    mapping = load_mapping(settings.mappings_file)
    if scope.project_id is not None and mapping.project(scope.project_id) is None:
        raise WrongUseError(f"mappings.json names no project {scope.project_id}")
    async with store(settings) as pool, open_taiga(settings) as taiga:
        if taiga is None:
            raise WrongUseError("set TAIGA_API and TAIGA_USERNAME with TAIGA_PASSWORD (or TAIGA_TOKEN) to read Taiga")
        try:
            if dry_run:
                return await reconcile(Tools(taiga, mapping, pool, None), scope, "manual", tell)
            async with door(settings, pool) as ingest:
                return await reconcile(Tools(taiga, mapping, pool, ingest), scope, "manual", tell)
        except (AlreadyRunningError, RemoteError) as error:
            raise FailedError(str(error)) from error


@asynccontextmanager
async def door(settings: Settings, pool: Pool) -> AsyncIterator[Ingest]:
    """The way in for events found by a command; the workers are told at the end."""
    wakeups = Wakeups(open_queue(settings.redis_url.get_secret_value()))
    try:
        yield Ingest(EventStore(pool), wakeups)
    finally:
        await wakeups.stop()


@contextmanager
def _progress() -> Iterator[Tell]:
    """A line on stderr that tells how far it is, when somebody watches."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        line = progress.add_task("looking at Taiga")
        yield lambda text, count: progress.update(line, description=f"{text}: {count}")


def _print(report: Report, *, dry_run: bool) -> None:
    verb = "would be put in" if dry_run else "put in"
    for one in report.differences:
        click.echo(f"{one.subject}  #{one.item.ref}: {one.item.subject}\n    {one.why}; {one.item.permalink}")
    for problem in report.problems:
        click.echo(f"not looked at: {problem}", err=True)
    left = f", {report.postponed} left to the next run" if report.postponed else ""
    click.echo(
        f"{report.looked_at} items listed, {report.items_read} read whole, {len(report.differences)} {verb}{left}"
    )
