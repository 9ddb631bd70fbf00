"""`taiga-billing setup`: from nothing to a running bridge, in one conversation."""

import os
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import click

from handlers.errors import RemoteError
from middleware.commands.check import look_and_print
from middleware.commands.common import DIFFERENCES, FailedError, WrongUseError, run
from middleware.setup.files import UnwritableError, read_env
from middleware.setup.projects import Wish, read_wish
from middleware.setup.prompts import AnswerMissingError, AnswerRefusedError, Asker, Conversation, Unattended
from middleware.setup.steps import carry_out
from middleware.setup.wizard import Files, Options, Prepared, Wizard

ENV_FILE, EXAMPLE_FILE = Path(".env"), Path(".env.example")
SETTINGS = {
    "invoice_ninja_api": "INVOICE_NINJA_API",
    "taiga_api": "TAIGA_API",
    "taiga_username": "TAIGA_USERNAME",
    "public_url": "PUBLIC_URL",
}
FROM_ENVIRONMENT = (
    *SETTINGS.values(),
    "INVOICE_NINJA_TOKEN",
    "TAIGA_PASSWORD",
    "TAIGA_TOKEN",
    "TAIGA_WEBHOOK_SECRETS",
    "STRIPE_API_KEY",
    "STRIPE_API_BASE",
    "STRIPE_WEBHOOK_SECRETS",
    "DATABASE_URL",
    "POSTGRES_PASSWORD",
)
NEXT = """
Now:
  taiga-billing users add NAME --role admin    a user who can sign in to the dashboard
  taiga-billing up                             receiver and worker (or: docker compose up --detach)
  then press "test" at the webhook in Taiga (project settings, integrations, webhooks), and close a billable task."""


@click.command("setup")
@click.option("--yes", "unattended", is_flag=True, help="Ask nothing: use options, environment and certain matches.")
@click.option("--dry-run", is_flag=True, help="Only print the plan; exit code 3 when there is anything to do.")
@click.option("--again", is_flag=True, help="Ask for everything again, even for what is known and works.")
@click.option("--invoice-ninja-api", metavar="URL", help="Address of Invoice Ninja; its token: INVOICE_NINJA_TOKEN.")
@click.option("--taiga-api", metavar="URL", help="Address of Taiga; the password: TAIGA_PASSWORD.")
@click.option("--taiga-username", metavar="NAME", help="The Taiga user for this program.")
@click.option("--public-url", metavar="URL", help="Address under which Taiga and Stripe reach this program.")
@click.option(
    "--map",
    "wishes",
    multiple=True,
    metavar="ID=CLIENT[/PROJECT][@RATE]",
    help="Bill Taiga project ID to this client, and optionally this project and rate.",
)
@click.option("--rate", type=str, help="Hourly rate for the projects that are added.")
@click.option("--check/--no-check", default=True, show_default=True, help="Run all checks at the end.")
def command(
    *,
    unattended: bool,
    dry_run: bool,
    again: bool,
    wishes: tuple[str, ...],
    rate: str | None,
    check: bool,
    **given: str | None,
) -> None:
    """Ask for addresses and credentials, try them, match projects with clients, register the webhooks, write the files.

    Secrets are asked for hidden, or taken from the environment; they are no options, because other users of the machine
    see those. What is there already stays as it is, so that it can be run again at any time.
    """
    asker: Asker = Unattended() if unattended else Conversation()
    options = Options(
        given=_known(given),
        files=Files(ENV_FILE, _mapping_file(), EXAMPLE_FILE),
        wishes=_wishes(wishes),
        rate=_rate(rate),
        again=again,
        is_attended=not unattended,
    )
    try:
        failed = run(_set_up(asker, options, dry_run=dry_run))
    except AnswerMissingError as error:
        raise WrongUseError(str(error)) from error
    except (AnswerRefusedError, RemoteError) as error:
        raise FailedError(str(error)) from error
    except (UnwritableError, OSError) as error:
        raise FailedError(f"a file cannot be written: {error}") from error
    if failed:
        raise FailedError("some steps failed; run setup again once they are repaired:\n  " + "\n  ".join(failed))
    click.echo(NEXT)
    if check:
        click.echo("\ntaiga-billing check:")
        if not look_and_print(as_json=False):
            raise click.exceptions.Exit(1)


async def _set_up(asker: Asker, options: Options, *, dry_run: bool) -> list[str]:
    async with AsyncExitStack() as stack:
        prepared = await Wizard(asker, options, stack).prepare()
        _show(prepared, asker)
        if dry_run:
            raise click.exceptions.Exit(DIFFERENCES if prepared.steps else 0)
        if prepared.steps and not asker.confirm("Do this?"):
            raise click.exceptions.Abort
        return await carry_out(prepared.steps, asker)


def _show(prepared: Prepared, asker: Asker) -> None:
    nothing = "Nothing is left for setup to do." if prepared.remarks else "Nothing is missing."
    asker.say("\nTo be done:" if prepared.steps else f"\n{nothing}")
    for step in prepared.steps:
        asker.say(f"  - {step.title}")
    if prepared.remarks:
        asker.say("\nFor you:")
        for remark in prepared.remarks:
            asker.say(f"  - {remark}")


def _known(given: dict[str, str | None]) -> dict[str, str]:
    """What the environment and the options say; options win."""
    environment = {name: value for name in FROM_ENVIRONMENT if (value := os.environ.get(name))}
    return environment | {SETTINGS[name]: value for name, value in given.items() if value}


def _mapping_file() -> Path:
    in_file = read_env(ENV_FILE.read_text(encoding="utf-8")) if ENV_FILE.exists() else {}
    return Path(os.environ.get("MAPPINGS_FILE") or in_file.get("MAPPINGS_FILE") or "mappings.json")


def _wishes(texts: tuple[str, ...]) -> list[Wish]:
    try:
        return [read_wish(text) for text in texts]
    except ValueError as error:
        raise WrongUseError(f"--map {error}") from error


def _rate(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        rate = read_wish(f"0=x@{text}").rate
    except ValueError:
        rate = None
    if not rate:
        raise WrongUseError(f"--rate {text!r} is not a rate; write a number such as 75 or 75.50")
    return rate
