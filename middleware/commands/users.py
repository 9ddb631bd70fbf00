"""`taiga-billing users`: who may look at the dashboard, and who may act there."""

import sys
from collections.abc import Awaitable, Callable

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from middleware.accounts.passwords import WeakPasswordError, check_strength, hash_password
from middleware.accounts.service import NAME_PATTERN
from middleware.commands.common import FailedError, WrongUseError, in_store, json_option, print_json
from middleware.commands.options import cli_actor
from middleware.store.database import Pool
from middleware.store.operations.audit import AuditEntry, AuditStore
from middleware.store.operations.users import Role, UserStore

Change = Callable[[UserStore], Awaitable[bool]]
password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from the standard input instead of asking for it."
)


@click.group("users")
def command() -> None:
    """Add, list, change and remove users of the dashboard, and set their passwords."""


@command.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "admin"]), default="viewer", show_default=True)
@password_option
def add(*, name: str, role: Role, password_stdin: bool) -> None:
    """Add a user. A viewer looks, an admin also replays, discards, matches and approves."""
    if not NAME_PATTERN.fullmatch(name):
        raise WrongUseError(f"{name!r} cannot be a name: letters, digits and . _ @ - are taken, at most 64")
    password_hash = _new_password(name, from_stdin=password_stdin)
    _change(
        AuditEntry(cli_actor(), "user.added", f"added {role} {name}", {"name": name, "role": role}),
        lambda users: users.add(name, role, password_hash),
        f"there is a user {name} already; taiga-billing users password {name} sets a new password",
    )
    click.echo(f"{role} {name} may sign in")


@command.command("list")
@json_option
def list_users(*, as_json: bool) -> None:
    """List the users."""
    users = in_store(lambda pool: UserStore(pool).list())
    if as_json:
        print_json(users)
        return
    table = Table("name", "role", "may sign in", "signed in last", show_edge=False, pad_edge=False)
    for user in users:
        signed_in = f"{user.signed_in_at:%Y-%m-%d %H:%M} UTC" if user.signed_in_at else "never"
        table.add_row(Text(user.name), user.role, "no" if user.is_disabled else "yes", signed_in)
    Console().print(table if users else "no users; add one with: taiga-billing users add NAME --role admin")


@command.command("disable")
@click.argument("name")
@click.option("--enable", is_flag=True, help="Let the user sign in again.")
def disable(*, name: str, enable: bool) -> None:
    """End all sessions of a user and let them sign in no more."""
    word = "enabled" if enable else "disabled"
    _change(
        AuditEntry(cli_actor(), f"user.{word}", f"{word} {name}", {"name": name}),
        lambda users: users.set_disabled(name, is_disabled=not enable),
        _unknown(name),
    )
    click.echo(f"{name} is {word}")


@command.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(["viewer", "admin"]))
def set_role(*, name: str, role: Role) -> None:
    """Make a user a viewer or an admin, and end all their sessions."""
    _change(
        AuditEntry(cli_actor(), "user.role_set", f"made {name} {_article(role)} {role}", {"name": name, "role": role}),
        lambda users: users.set_role(name, role),
        _unknown(name),
    )
    click.echo(f"{name} is {_article(role)} {role}; all sessions of {name} ended")


@command.command("remove")
@click.argument("name")
def remove(*, name: str) -> None:
    """Remove a user and end all their sessions; what they did stays in the audit."""
    _change(
        AuditEntry(cli_actor(), "user.removed", f"removed {name}", {"name": name}),
        lambda users: users.remove(name),
        _unknown(name),
    )
    click.echo(f"{name} is removed")


@command.command("password")
@click.argument("name")
@password_option
def password(*, name: str, password_stdin: bool) -> None:
    """Set a new password for a user and end all their sessions."""
    password_hash = _new_password(name, from_stdin=password_stdin)
    _change(
        AuditEntry(cli_actor(), "user.password_set", f"set a new password for {name}", {"name": name}),
        lambda users: users.set_password(name, password_hash),
        _unknown(name),
    )
    click.echo(f"{name} has a new password; all sessions of {name} ended")


def _change(entry: AuditEntry, change: Change, refusal: str) -> None:
    async def carry_out(pool: Pool) -> None:
        if not await change(UserStore(pool)):
            raise FailedError(refusal)
        await AuditStore(pool).record(entry)

    in_store(carry_out)


def _new_password(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    else:
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    try:
        check_strength(text, name)
    except WeakPasswordError as error:
        raise WrongUseError(str(error)) from error
    return hash_password(text)


def _article(role: Role) -> str:
    return "an" if role == "admin" else "a"


def _unknown(name: str) -> str:
    return f"there is no user {name}; taiga-billing users list shows all"
