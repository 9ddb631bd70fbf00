"""`taiga-billing balance`: does everything add up (docs/invoicing.md)."""

import click

from middleware.commands.balance.hours import hours_command


@click.group("balance")
def command() -> None:
    """Whether everything adds up: what is closed in Taiga and what is billed."""


command.add_command(hours_command)
