"""The command line: `taiga-billing COMMAND`. Commands are imported when they are called, so that each starts quickly.

Exit codes: 0 done, 1 failed, 2 wrong use, 3 differences found (dry runs and reconcile).
"""

import importlib

import click
from click.exceptions import NoSuchCommand

from middleware.commands.terminal import guard_output
from middleware.version import VERSION

# name -> (module below middleware, what `--help` says)
COMMANDS = {
    "up": ("commands.up", "Run receiver and worker (and embedded PostgreSQL and Redis when no URL is set)."),
    "serve": ("commands.serve", "Run the receiver of webhooks."),
    "worker": ("commands.worker", "Run a worker."),
    "setup": ("commands.setup", "Ask for addresses and credentials, connect everything, write .env and mappings.json."),
    "migrate": ("commands.migrate", "Bring the database to the present schema."),
    "check": ("commands.check", "Check settings, mapping file and every system, and say how to repair what is wrong."),
    "mappings": ("commands.mappings", "Show the rules as they apply, and what another mapping file would change."),
    "events": ("commands.events.group", "List, show, replay and discard events."),
    "users": ("commands.users", "Who can read the dashboard, and who can act there."),
    "rejections": ("commands.rejections", "Webhook requests that were refused."),
    "verify": ("commands.verify", "Explain why the signature of a webhook is wrong."),
    "reconcile": ("commands.reconcile.group", "Find changes that no webhook reported, and process them."),
    "payments": (
        "commands.payments",
        "Payments of Stripe and their state; match or ignore those that need a decision.",
    ),
    "invoices": ("commands.invoices.group", "Plan the invoices of a period, and create them."),
    "balance": (
        "commands.balance.group",
        "Check that all closed hours are billed, and all money received is recorded, or why not.",
    ),
    "rates": ("commands.rates.group", "Bill recorded work at the rates that mappings.json has now."),
    "alerts": ("commands.alerts", "Who is alerted when something needs a person, and whether alerts arrive."),
    "housekeeping": ("commands.housekeeping", "Delete old data; encrypt stored bodies with the newest key."),
    "backup": ("commands.backup", "Write the whole state into one file."),
    "restore": ("commands.restore", "Restore the whole state from a file into an empty database."),
    "demo": ("lab.demo.command", "Show the whole flow against sandbox servers."),
    "bench": ("lab.bench.command", "Measure speed and memory."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for it."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """All commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"middleware.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; one that is mistyped is answered with those that look like it."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="taiga-billing")
def group() -> None:
    """Hours closed in Taiga and money paid through Stripe arrive in Invoice Ninja exactly once."""


def main() -> None:
    """The entry point; ends the process with the exit code of the command."""
    guard_output()
    group()
