"""`taiga-billing housekeeping`: what the workers do every night, now."""

from datetime import UTC, datetime

import click

from middleware.commands.common import json_option, print_json, run, servers_behind, settings_or_exit, store
from middleware.jobs.housekeeping import Round, keep_house
from middleware.settings import Settings


@click.command("housekeeping")
@click.option("--new-key", is_flag=True, help="Print a new key for ENCRYPTION_KEYS and do nothing else.")
@json_option
def command(*, new_key: bool, as_json: bool) -> None:
    """Remove what is older than RETENTION_DAYS and RETENTION_SUMMARY_DAYS; seal bodies with the newest key."""
    if new_key:
        from cryptography.fernet import Fernet  # noqa: PLC0415 - no other round needs it

        click.echo(Fernet.generate_key().decode())
        return

    async def one_round(settings: Settings) -> Round:
        async with store(settings) as pool:
            return await keep_house(settings, pool, datetime.now(UTC))

    with servers_behind(settings_or_exit()) as settings:
        done = run(one_round(settings))
    if as_json:
        print_json(done)
    else:
        click.echo(done.summary)
