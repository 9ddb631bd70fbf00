"""`taiga-billing migrate`."""

import click

from middleware.commands.common import json_option, print_json, run, servers_behind, settings_or_exit
from middleware.store.database import migrate


@click.command("migrate")
@json_option
def command(*, as_json: bool) -> None:
    """Bring the database to the present schema; safe to call at any time, also by two programs at once."""
    with servers_behind(settings_or_exit()) as settings:
        applied = run(migrate(settings.database_url.get_secret_value()))
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo("\n".join(f"applied {name}" for name in applied) or "the database is up to date")
