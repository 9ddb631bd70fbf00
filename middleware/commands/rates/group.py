"""`taiga-billing rates`: let the rates of now count for work that is recorded already."""

from datetime import UTC, date, datetime

import click

from handlers.errors import NeedsPerson, RemoteError
from mappings.time.repricing import sums_by_client
from middleware.bootstrap import open_context
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
from middleware.commands.interactive import interactive_traffic
from middleware.commands.options import cli_actor
from middleware.intake.ingest import open_ingest
from middleware.mapping.load import load_mapping
from middleware.reconcile.rates import Change, enqueue_changes, find_changes
from middleware.settings import Settings
from middleware.store.operations.audit import AuditEntry, AuditStore


@click.group("rates")
def command() -> None:
    """Rates of recorded work."""


@command.command("apply")
@click.option("--from", "first_day", type=click.DateTime(["%Y-%m-%d"]), help="Only work finished on this day or later.")
@click.option("--project", "project_id", type=int, help="Only work of this Taiga project.")
@click.option("--dry-run", is_flag=True, help="Only show the old and the new sums (exit code 3 if they differ).")
@json_option
def apply(*, first_day: datetime | None, project_id: int | None, dry_run: bool, as_json: bool) -> None:
    """Bill unbilled recorded work at the rates that mappings.json has now. Invoices stay as they are."""
    day = first_day.date() if first_day is not None else None
    with servers_behind(settings_or_exit()) as settings:
        changes = run(_apply(settings, day, project_id, dry_run=dry_run))
    _print(changes, dry_run=dry_run, as_json=as_json)
    if dry_run and changes:
        raise click.exceptions.Exit(DIFFERENCES)


async def _apply(settings: Settings, day: date | None, project_id: int | None, *, dry_run: bool) -> list[Change]:
    mapping = load_mapping(settings.mappings_file)
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool) as traffic,
        open_context(settings, mapping, pool, traffic) as context,
    ):
        try:
            changes = await find_changes(context, pool, day, project_id)
        except (NeedsPerson, RemoteError) as error:
            raise FailedError(str(error)) from error
        if changes and not dry_run:
            async with open_ingest(settings, pool) as sink:
                count = await enqueue_changes(changes, sink, datetime.now(UTC))
            await AuditStore(pool).record(AuditEntry(cli_actor(), "rates.apply", f"new rates for {count} work items"))
    return changes


def _print(changes: list[Change], *, dry_run: bool, as_json: bool) -> None:
    entries = [change.entry for change in changes]
    sums = sums_by_client(entries)
    if as_json:
        clients = {client: {"old_sum": old, "new_sum": new} for client, (old, new) in sums.items()}
        print_json({"entries": entries, "clients": clients, "is_applied": bool(entries) and not dry_run})
        return
    for one in entries:
        click.echo(
            f"{one.number} {one.description}: {one.hours} h at {one.old_rate} -> {one.new_rate} ({one.source}), "
            f"{one.old_sum} -> {one.new_sum}"
        )
    for client, (old, new) in sums.items():
        click.echo(f"client {client}: {old} -> {new}")
    if not entries:
        click.echo("all unbilled work has the rates of mappings.json")
    elif not dry_run:
        click.echo(f"the workers write the new rate of {len(entries)} entries")
