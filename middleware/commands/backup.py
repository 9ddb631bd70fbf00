"""`taiga-billing backup FILE`: the whole state in one file, while everything runs."""

from pathlib import Path

import click

from middleware.commands.common import FailedError, json_option, print_json, run, servers_behind, settings_or_exit
from middleware.settings import Settings
from middleware.store.backup import BackupError, Manifest, back_up
from middleware.store.database import migrate
from middleware.version import VERSION


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def command(*, file: Path, as_json: bool) -> None:
    """Write the whole state of PostgreSQL into a new FILE, of one moment. Redis holds nothing worth keeping.

    Keep a copy of .env, mappings.json and ENCRYPTION_KEYS apart from it: they are not in the file.
    """

    async def write(settings: Settings) -> Manifest:
        url = settings.database_url.get_secret_value()
        await migrate(url)
        return await back_up(url, file, VERSION)

    with servers_behind(settings_or_exit()) as settings:
        try:
            manifest = run(write(settings))
        except (BackupError, OSError) as error:
            raise FailedError(str(error)) from error
    if as_json:
        print_json({"file": str(file), "rows": manifest.rows, "schema": max(manifest.migrations)})
    else:
        click.echo(f"{file}: {manifest.rows} rows of {len(manifest.tables)} tables, schema {max(manifest.migrations)}")
