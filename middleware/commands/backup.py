"""`taiga-billing backup FILE`: the whole state in one file, while everything runs."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from middleware.commands.common import FailedError, json_option, print_json, run, servers_behind, settings_or_exit
from middleware.settings import Settings
from middleware.store.backup import BackupError, Manifest, back_up
from middleware.store.database import migrate
from middleware.version import VERSION


@click.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
@json_option
def command(*, file: Path, as_json: bool) -> None:
    """Write the whole state of PostgreSQL into a new FILE, of one moment; - is the standard output.

    Redis holds nothing worth keeping.

    Keep a copy of .env, mappings.json and ENCRYPTION_KEYS apart from it: they are not in the file.
    """

    async def write(settings: Settings, target: Path) -> Manifest:
        url = settings.database_url.get_secret_value()
        await migrate(url)
        return await back_up(url, target, VERSION)

    is_stream = str(file) == "-"
    with servers_behind(settings_or_exit()) as settings, TemporaryDirectory(prefix="taiga-billing-") as folder:
        try:
            # A whole file first: what is cut off in the middle must not look like a backup.
            target = Path(folder) / "backup" if is_stream else file
            manifest = run(write(settings, target))
            if is_stream:
                with target.open("rb") as made, click.open_file("-", "wb") as out:
                    shutil.copyfileobj(made, out)
        except (BackupError, OSError) as error:
            raise FailedError(str(error)) from error
    if is_stream:
        return
    if as_json:
        print_json({"file": str(file), "rows": manifest.rows, "schema": max(manifest.migrations)})
    else:
        click.echo(f"{file}: {manifest.rows} rows of {len(manifest.tables)} tables, schema {max(manifest.migrations)}")
