"""`taiga-billing balance`: does everything add up (docs/invoicing.md, docs/payments.md)."""

import click

from middleware.commands.balance.hours import hours_command
from middleware.commands.balance.money import money_command


@click.group("balance")
def command() -> None:
    """Check that everything adds up: hours closed in Taiga are billed, money received by Stripe is recorded."""


command.add_command(hours_command)
command.add_command(money_command)
