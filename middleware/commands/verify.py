"""`taiga-billing verify`: which mistake made a webhook fail its proof."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from middleware.commands.common import FAILED, WrongUseError, json_option, print_json, settings_or_exit
from middleware.intake.diagnosis import Case, diagnose
from middleware.intake.rejections import fingerprint
from middleware.sources.base import Delivery
from middleware.sources.table import SOURCES


@click.command("verify")
@click.option("--source", type=click.Choice(SOURCES), required=True)
@click.option(
    "--body", "body_file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True, help="The body."
)
@click.option("--header", "header_lines", multiple=True, help='"Name: value"; may be given several times.')
@click.option("--at", "now", type=int, help="Unix seconds of its arrival, for Stripe's time stamp; now, if not given.")
@json_option
def command(*, source: str, body_file: Path, header_lines: tuple[str, ...], now: int | None, as_json: bool) -> None:
    """Prove a webhook with the configured keys; when it fails, say which mistake it is.

    Save the raw body as it arrived (`curl --data-binary @FILE` sends such a file). Exit code 0: it would be accepted.
    """
    settings = settings_or_exit()
    secrets = settings.webhook_secrets(source)
    if not secrets:
        raise WrongUseError(f"{SOURCES[source].setting} is not set")
    arrived = datetime.fromtimestamp(int(time.time()) if now is None else now, UTC)
    delivery = Delivery(body_file.read_bytes(), _headers(header_lines), arrived)
    finding = diagnose(Case(SOURCES[source], delivery, settings.stripe_tolerance), secrets)
    mark = fingerprint(secrets[finding.key]) if finding.key is not None else None
    if as_json:
        print_json(
            {
                "ok": finding.is_good,
                "kind": finding.kind,
                "message": finding.message,
                "hint": finding.hint,
                "key": finding.key,
                "fingerprint": mark,
            }
        )
    else:
        click.echo(f"{finding.kind}: {finding.message}{f' (fingerprint {mark})' if mark else ''}")
        if finding.hint:
            click.echo(f"  -> {finding.hint}")
    if not finding.is_good:
        raise click.exceptions.Exit(FAILED)


def _headers(lines: tuple[str, ...]) -> dict[str, str]:
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise WrongUseError(f'"{line}" is not a header: write it as "Name: value"')
        headers[name.strip().lower()] = value.strip()
    return headers
