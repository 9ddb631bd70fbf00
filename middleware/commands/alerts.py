"""`taiga-billing alerts`: what needs a person, and whether messages about it arrive."""

import socket
from dataclasses import replace
from datetime import UTC, datetime

import click

from mappings.errors import MappingErrors
from middleware.alerts.conditions import Watched, read_conditions
from middleware.alerts.models import Message
from middleware.alerts.sender import send
from middleware.commands.common import (
    FailedError,
    WrongUseError,
    in_store,
    json_option,
    print_json,
    run,
    settings_or_exit,
)
from middleware.mapping.load import load_mapping
from middleware.settings import Settings, SettingsError
from middleware.store.database import Pool
from middleware.store.operations.alerts import AlertStore, KnownCondition


@click.group("alerts")
def command() -> None:
    """Send a test message to ALERT_URLS, and list what needs a person."""


@command.command("test")
def test() -> None:
    """Send a message to every address of ALERT_URLS and say how it went."""
    settings = settings_or_exit()
    if not settings.alert_urls:
        raise WrongUseError("ALERT_URLS is not set: nobody gets messages; .env.example shows what it may hold")
    link = f"\n\n{settings.public_url}/" if settings.public_url else ""
    message = Message("taiga-billing: a test", f"Alerts reach you.{link}", is_good_news=True)
    results = run(send([url.get_secret_value() for url in settings.alert_urls], message))
    for result in results:
        click.echo(f"{result.name}: {'sent' if result.is_ok else result.said or 'not taken'}")
    if not all(result.is_ok for result in results):
        raise FailedError("not every address took the message")


@command.command("list")
@json_option
def list_alerts(*, as_json: bool) -> None:
    """List what needs a person now, and when a message about it was sent, whether or not ALERT_URLS is set."""
    settings = settings_or_exit()
    rows = in_store(lambda pool: _present(settings, pool))
    if as_json:
        print_json(rows)
        return
    for row in rows:
        sent = f"sent {row.told_at:%Y-%m-%d %H:%M} UTC" if row.told_at else "no message was sent"
        click.echo(f"{row.kind}: {row.summary} ({sent})")
    if not rows:
        click.echo("nothing needs a person")
    elif not settings.alert_urls:
        click.echo("ALERT_URLS is not set: nobody gets a message about these", err=True)


async def _present(settings: Settings, pool: Pool) -> list[KnownCondition]:
    """Everything that lasts by now, with what is remembered of it."""
    now = datetime.now(UTC)
    watched = Watched(
        settings.enabled_sources, settings.alert_silent_hours, socket.gethostname(), lambda: _mapping_problem(settings)
    )
    known = {(row.kind, row.key): row for row in await AlertStore(pool).known()}
    lasting = [one for seen in await read_conditions(pool, watched, now) for one in seen.conditions]
    return [
        replace(known.get((one.kind, one.key), KnownCondition(one.kind, one.key, "", now)), summary=one.summary)
        for one in lasting
    ]


def _mapping_problem(settings: Settings) -> str:
    try:
        load_mapping(settings.mappings_file)
    except (SettingsError, MappingErrors) as error:
        return str(error).splitlines()[0]
    return ""
