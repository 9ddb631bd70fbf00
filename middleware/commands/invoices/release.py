"""`taiga-billing invoices bill-again` and `leave`: what becomes of the hours of a cancelled invoice."""

import click

from handlers.errors import NeedsPerson, RemoteError
from handlers.invoices.release import Released, decide
from handlers.time.cancelled import Decision
from middleware.bootstrap import open_context
from middleware.commands.common import (
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
from middleware.mapping.load import load_mapping
from middleware.settings import Settings
from middleware.store.operations.audit import AuditEntry, AuditStore


@click.command("bill-again")
@click.argument("reference")
@json_option
def bill_again_command(reference: str, *, as_json: bool) -> None:
    """Free the hours of a cancelled invoice for the next run.

    REFERENCE is the number or id of the invoice, or the number of an entry (TAIGA-T12) whose invoice is gone.
    """
    _decide(reference, "bill_again", as_json=as_json)


@click.command("leave")
@click.argument("reference")
@json_option
def leave_command(reference: str, *, as_json: bool) -> None:
    """Leave the hours of a cancelled invoice (its number or id) unbilled."""
    _decide(reference, "leave", as_json=as_json)


def _decide(reference: str, decision: Decision, *, as_json: bool) -> None:
    with servers_behind(settings_or_exit()) as settings:
        released = run(_carry_out(settings, reference, decision))
    if as_json:
        print_json(released)
    else:
        for sentence in (*released.done, *released.problems):
            click.echo(sentence)
    if released.problems:
        raise click.exceptions.Exit(FailedError.exit_code)


async def _carry_out(settings: Settings, reference: str, decision: Decision) -> Released:
    mapping = load_mapping(settings.mappings_file)
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool) as traffic,
        open_context(settings, mapping, pool, traffic) as context,
    ):
        try:
            released = await decide(reference, decision, context)
        except NeedsPerson as error:
            raise FailedError(f"{error.reason}\n{error.hint}") from error
        except RemoteError as error:
            raise FailedError(f"{error}\nnothing is lost: try again, and it continues where it stopped") from error
        if released.done:
            summary = f"{decision.replace('_', ' ')} {reference}: {'; '.join(released.done)}"
            await AuditStore(pool).record(AuditEntry(cli_actor(), f"invoice.{decision}", summary[:500]))
    return released
