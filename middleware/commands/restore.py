"""`taiga-billing restore FILE`: what `backup` wrote, into an empty database."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from middleware.commands.common import FailedError, json_option, print_json, run, servers_behind, settings_or_exit
from middleware.store.backup import BackupError, restore


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Replace everything that is in the database.")
@json_option
def command(*, file: Path, force: bool, as_json: bool) -> None:
    """Read the state of FILE into a new or empty database, all or nothing; - is the standard input.

    Stop receiver and workers before.
    """
    with servers_behind(settings_or_exit()) as settings, TemporaryDirectory(prefix="taiga-billing-") as folder:
        try:
            if str(file) == "-":
                file = Path(folder) / "backup"
                with file.open("wb") as copy, click.open_file("-", "rb") as given:
                    shutil.copyfileobj(given, copy)
            manifest = run(restore(settings.database_url.get_secret_value(), file, force=force))
        except BackupError as error:
            raise FailedError(str(error)) from error
    if as_json:
        print_json({"file": str(file), "rows": manifest.rows, "made_at": manifest.made_at})
    else:
        click.echo(f"{manifest.rows} rows of {manifest.made_at} are back; start receiver and workers")
        click.echo("then run taiga-billing reconcile taiga to find what has happened since")
