"""`taiga-billing worker`."""

import click

from middleware.commands.common import run, servers_behind, settings_or_exit
from middleware.process import spare_what_stays
from middleware.settings import Settings
from middleware.store.database import migrate
from middleware.worker import run_worker


@click.command("worker")
def command() -> None:
    """Run a worker until SIGTERM or SIGINT; several may run side by side."""
    with servers_behind(settings_or_exit()) as settings:
        run(work(settings))


async def work(settings: Settings) -> None:
    """Migrate, then work."""
    await migrate(settings.database_url.get_secret_value())
    spare_what_stays()
    await run_worker(settings)
