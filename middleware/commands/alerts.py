"""`taiga-billing alerts`: who is told when something needs a person, and whether it reaches them."""

import click

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
from middleware.store.operations.alerts import AlertStore


@click.group("alerts")
def command() -> None:
    """Send a test message to ALERT_URLS, and list what people were told."""


@command.command("test")
def test() -> None:
    """Send a message to every address of ALERT_URLS and say how it went."""
    settings = settings_or_exit()
    if not settings.alert_urls:
        raise WrongUseError("ALERT_URLS is not set: nobody is told anything; .env.example shows what it may hold")
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
    """List what lasts and was (or will be) told."""
    rows = in_store(lambda pool: AlertStore(pool).known())
    if as_json:
        print_json(rows)
        return
    for row in rows:
        told = f"told {row.told_at:%Y-%m-%d %H:%M} UTC" if row.told_at else "not told yet"
        click.echo(f"{row.kind}: {row.summary} ({told})")
    if not rows:
        click.echo("nothing needs a person")
