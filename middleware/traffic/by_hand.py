"""The requests of commands: counted with those of the workers; people are told what the workers leave alone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import click

from middleware.bootstrap import open_outages
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Outages

SYSTEMS = ("invoiceninja", "stripe", "taiga")


@asynccontextmanager
async def asking_by_hand(settings: Settings, pool: Pool, systems: Sequence[str] = SYSTEMS) -> AsyncIterator[Outages]:
    """The ways of one command. It goes on whatever the circuits say, and says on stderr what those of `systems` say.

    Raises:
        StoreUnavailableError: PostgreSQL is away.
    """
    outages = open_outages(settings, pool, by_hand=True)
    async with outages.circuits.store.counted():
        for sentence in await outages.failing(*systems):
            click.echo(f"{sentence}; the workers wait for it, this command asks all the same", err=True)
        yield outages


async def warn_of_outages(settings: Settings, pool: Pool) -> None:
    """For a command that leaves its work to the workers: say on stderr what they wait for."""
    for sentence in await open_outages(settings, pool, by_hand=True).failing(*SYSTEMS):
        click.echo(f"{sentence}; the workers go on when it is back", err=True)
