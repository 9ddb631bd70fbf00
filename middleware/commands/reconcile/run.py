"""What the sub-commands of `taiga-billing reconcile` share: how a run is watched, reported and ended.

Exit codes: 0 done, or nothing to do; 1 failed, or something was not looked at; 2 wrong use; 3 `--dry-run`: everything
was looked at, and something would be enqueued.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from handlers.errors import RemoteError
from handlers.ports.events import EventSink
from middleware.commands.common import (
    DIFFERENCES,
    FAILED,
    FailedError,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.interactive import interactive_traffic
from middleware.intake.ingest import open_ingest
from middleware.reconcile import runs
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

Tell = Callable[[str, int], None]

dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Only show what would be enqueued; remembers nothing. Exit code 3: there is something.",
)


class PrintableReport(runs.RunReport, Protocol):
    """What a run found, for people."""

    def as_json(self) -> dict[str, Any]: ...  # noqa: D102 - the report as JSON


_Report = TypeVar("_Report", bound=PrintableReport)
Look = Callable[[Settings, Pool, Traffic, EventSink | None, Tell], Coroutine[Any, Any, _Report]]
"""One run with what is open for it; the sink is None in a dry run."""


def carry_out(
    systems: Sequence[str], look: Look[_Report], show: Callable[[_Report, str], None], *, dry_run: bool, as_json: bool
) -> None:
    """Run it and print its report; `show` gets the words for what becomes of a difference. `systems` are asked."""
    with (
        servers_behind(settings_or_exit()) as settings,
        watched_progress(f"looking at {' and '.join(systems)}") as tell,
    ):
        report = run(_reconcile(settings, systems, look, tell, dry_run=dry_run))
    if as_json:
        print_json({**report.as_json(), "dry_run": dry_run})
    else:
        show(report, "would be enqueued" if dry_run else "enqueued")
    if code := exit_code(report, dry_run=dry_run):
        raise click.exceptions.Exit(code)


def exit_code(report: runs.RunReport, *, dry_run: bool) -> int:
    """The exit code of a run that came to its end: one that left something out never says that there is nothing."""
    if report.problems or report.postponed:
        return FAILED
    return DIFFERENCES if dry_run and report.differences else 0


def print_left_out(report: runs.RunReport) -> None:
    """What was not looked at, on stderr."""
    for problem in report.problems:
        click.echo(f"not looked at: {problem}", err=True)
    if report.postponed:
        click.echo(f"not looked at: {report.postponed} more, which are left to the next run", err=True)


def in_the_past(_context: click.Context, _parameter: click.Parameter, moment: datetime | None) -> datetime | None:
    """A moment as it was given; one that is still to come would leave out everything.

    Raises:
        click.BadParameter: it is still to come.
    """
    if moment is not None and moment > datetime.now(UTC):
        raise click.BadParameter(f"{moment:%Y-%m-%d %H:%M} UTC is still to come: nothing has changed since then")
    return moment


async def _reconcile(
    settings: Settings, systems: Sequence[str], look: Look[_Report], tell: Tell, *, dry_run: bool
) -> _Report:
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool, systems) as traffic,
        _sink(settings, pool, dry_run=dry_run) as sink,
    ):
        try:
            return await look(settings, pool, traffic, sink, tell)
        except (runs.AlreadyRunningError, RemoteError) as error:
            raise FailedError(str(error)) from error


@asynccontextmanager
async def _sink(settings: Settings, pool: Pool, *, dry_run: bool) -> AsyncIterator[EventSink | None]:
    """Where differences are enqueued; None in a dry run."""
    if dry_run:
        yield None
        return
    async with open_ingest(settings, pool) as ingest:
        yield ingest


@contextmanager
def watched_progress(title: str) -> Iterator[Tell]:
    """A line on stderr that tells how far it is, when somebody watches."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        line = progress.add_task(title)
        yield lambda text, count: progress.update(line, description=f"{text}: {count}")
