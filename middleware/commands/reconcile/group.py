"""`taiga-billing reconcile`: finds what no webhook reported, and enqueues it. One sub-command for each source."""

from datetime import datetime

import click

from handlers.ports.events import EventSink
from handlers.reconcile.taiga_models import Report, Scope
from middleware.bootstrap import open_taiga
from middleware.commands.common import WrongUseError, json_option
from middleware.commands.options import Ago
from middleware.commands.reconcile.run import Tell, carry_out, dry_run_option, in_the_past, print_left_out
from middleware.commands.reconcile.stripe import reconcile_stripe
from middleware.mapping.load import load_mapping
from middleware.reconcile.taiga import TaigaTools, reconcile
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

MOST_READS = 100_000


@click.group("reconcile")
def command() -> None:
    """Find changes that no webhook reported, and process them."""


command.add_command(reconcile_stripe)


@command.command("taiga")
@click.option(
    "--since",
    type=Ago(),
    callback=in_the_past,
    help="Only items that Taiga calls modified since: 30d, 12h, or 2026-11-01.",
)
@click.option("--project", "project_id", type=int, help="Only this Taiga project (its number).")
@click.option("--reread", type=click.IntRange(0), default=500, show_default=True, help="Unchanged items to read again.")
@dry_run_option
@json_option
def reconcile_taiga(
    *, since: datetime | None, project_id: int | None, reread: int, dry_run: bool, as_json: bool
) -> None:
    """Compare the closed work in Taiga with the events, and enqueue what they do not know.

    Exit codes: 0: done, or nothing to do; 1: failed, or something was left out; 2: wrong use; 3: --dry-run covered
    everything, and something would be enqueued. Unchanged items beyond --reread are not part of it: the last line says
    how many there are.
    """
    scope = Scope(since=since, project_id=project_id, rolling=reread, most_reads=MOST_READS)

    async def look(settings: Settings, pool: Pool, traffic: Traffic, sink: EventSink | None, tell: Tell) -> Report:
        mapping = load_mapping(settings.mappings_file)
        if not mapping.project_mappings:
            raise WrongUseError(
                f"{settings.mappings_file} names no project in project_mappings: there is nothing to compare"
            )
        if project_id is not None and mapping.project(project_id) is None:
            raise WrongUseError(f"mappings.json names no project {project_id}")
        async with open_taiga(settings) as taiga:
            if taiga is None:
                raise WrongUseError(
                    "set TAIGA_API and TAIGA_USERNAME with TAIGA_PASSWORD (or TAIGA_TOKEN) to read Taiga"
                )
            taiga.through(traffic.admit("taiga"))
            return await reconcile(TaigaTools(taiga, mapping, pool, sink), scope, "manual", tell)

    carry_out(["taiga"], look, _print, dry_run=dry_run, as_json=as_json)


def _print(report: Report, verb: str) -> None:
    for one in report.differences:
        click.echo(f"{one.subject}  #{one.item.ref}: {one.item.subject}\n    {one.why}; {one.item.permalink}")
    print_left_out(report)
    left = f", {report.unread} unchanged ones not read again" if report.unread else ""
    click.echo(
        f"{report.looked_at} items listed, {report.items_read} read whole, {len(report.differences)} {verb}{left}"
    )
