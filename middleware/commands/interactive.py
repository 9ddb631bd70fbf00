"""The requests of commands: they go on whatever the circuits say, and people read what the workers wait for."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from middleware.bootstrap import open_traffic
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

SYSTEMS = ("invoiceninja", "stripe", "taiga")


@asynccontextmanager
async def interactive_traffic(
    settings: Settings, pool: Pool, systems: Sequence[str] = SYSTEMS
) -> AsyncIterator[Traffic]:
    """The traffic of one command: it asks whatever the circuits say, and says on stderr what those of `systems` say."""
    traffic = open_traffic(settings, pool, interactive=True)
    for sentence in await traffic.failing(*systems):
        click.echo(f"{sentence}; the workers are waiting for it, this command tries anyway", err=True)
    yield traffic


async def warn_of_paused_systems(settings: Settings, pool: Pool) -> None:
    """For a command that leaves its work to the workers: say on stderr what they wait for."""
    for sentence in await open_traffic(settings, pool, interactive=True).failing(*SYSTEMS):
        click.echo(f"{sentence}; the workers continue when it is back", err=True)
