"""`taiga-billing restore FILE`: what `backup` wrote, into an empty database."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from middleware.commands.common import FailedError, json_option, print_json, run, servers_behind, settings_or_exit
from middleware.settings import Settings
from middleware.store.backup import BackupError, Manifest, restore
from middleware.store.database import open_pool
from middleware.store.operations.users import UserStore


async def _restored(settings: Settings, file: Path, *, force: bool, trust: bool) -> tuple[Manifest, list[str]]:
    url = settings.database_url.get_secret_value()
    manifest = await restore(url, file, force=force, is_trusted=trust)
    async with open_pool(url, size=1) as pool:
        users = await UserStore(pool).list()
    return manifest, [f"{user.name} ({user.role})" for user in users if not user.is_disabled]


@click.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Replace everything that is in the database.")
@click.option("--trust", is_flag=True, help="Also a file that was not made with these ENCRYPTION_KEYS.")
@json_option
def command(*, file: Path, force: bool, trust: bool, as_json: bool) -> None:
    """Read the state of FILE into a new or empty database, all or nothing; - is the standard input.

    Stop receiver and workers before.
    """
    with servers_behind(settings_or_exit()) as settings, TemporaryDirectory(prefix="taiga-billing-") as folder:
        try:
            if str(file) == "-":
                file = Path(folder) / "backup"
                with file.open("wb") as copy, click.open_file("-", "rb") as given:
                    shutil.copyfileobj(given, copy)
            manifest, users = run(_restored(settings, file, force=force, trust=trust))
        except BackupError as error:
            raise FailedError(str(error)) from error
    if as_json:
        print_json({"file": str(file), "rows": manifest.rows, "made_at": manifest.made_at})
    else:
        click.echo(f"{manifest.rows} rows of {manifest.made_at} are back; start receiver and workers")
        click.echo(f"who may sign in: {', '.join(users) or 'nobody'}")
        click.echo("then run taiga-billing reconcile taiga to find what has happened since")
