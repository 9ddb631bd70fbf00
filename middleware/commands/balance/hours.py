"""`taiga-billing balance hours`: closed hours against billed, billable, left out and waiting ones, client by client."""

import shutil
from collections.abc import Mapping

import click

from handlers.errors import NeedsPerson, RemoteError
from handlers.invoices.balance import hour_balance
from handlers.invoices.plan import world_of
from mappings.invoices.balance import ClientBalance, HourBalance
from mappings.invoices.balance_json import balance_as_json, balance_in_words
from mappings.invoices.period import Period, parse_period
from middleware.bootstrap import open_context
from middleware.commands.common import (
    DIFFERENCES,
    FailedError,
    WrongUseError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.interactive import interactive_traffic
from middleware.commands.output import PlainTable
from middleware.mapping.load import load_mapping
from middleware.settings import Settings
from middleware.store.billing.mirror import BookStore

_WIDTH = 120


@click.command("hours")
@click.option("--month", default="", help="Only work that was closed in this month, such as 2025-12.")
@click.option("--client", "client_id", default="", help="Only this client: its id.")
@json_option
def hours_command(*, month: str, client_id: str, as_json: bool) -> None:
    """Compare the hours that Taiga calls closed and billable with what became of them. Writes nothing.

    Exit codes: 0: everything adds up; 1: failed; 2: wrong use; 3: something does not add up.
    """
    with servers_behind(settings_or_exit()) as settings:
        found, names = run(_look(settings, month))
    if client_id:
        found = _only(found, client_id)
    if as_json:
        print_json(balance_as_json(found))
    else:
        _print(found, names)
    if found.mismatches:
        raise click.exceptions.Exit(DIFFERENCES)


async def _look(settings: Settings, month: str) -> tuple[HourBalance, Mapping[str, str]]:
    mapping = load_mapping(settings.mappings_file)
    period = _period(month, mapping.billing_rules.timezone)
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool) as traffic,
        open_context(settings, mapping, pool, traffic) as context,
    ):
        try:
            found = await hour_balance(world_of(context), context, period)
        except NeedsPerson as error:
            raise FailedError(f"{error.reason}\n{error.hint}") from error
        except RemoteError as error:
            raise FailedError(str(error)) from error
        return found, await BookStore(pool).client_names()


def _period(month: str, timezone: str) -> Period | None:
    try:
        return parse_period(month, timezone) if month else None
    except ValueError as error:
        raise WrongUseError(str(error)) from error


def _only(found: HourBalance, client_id: str) -> HourBalance:
    return HourBalance(
        tuple(one for one in found.clients if one.client_id == client_id),
        tuple(one for one in found.mismatches if one.client_id == client_id),
        tuple(one for one in found.waiting if one.client_id == client_id),
    )


def _print(found: HourBalance, names: Mapping[str, str]) -> None:
    table = PlainTable(
        ("client", "closed", "billed", "billable", "left out", "waiting", "difference"),
        folded=frozenset({0}),
        right=frozenset(range(1, 7)),
    )
    for one in found.clients:
        table.add(names.get(one.client_id, one.client_id) or "no client", *(_text(hours) for hours in _columns(one)))
    for line in table.lines(shutil.get_terminal_size((_WIDTH, 1)).columns):
        click.echo(line)
    for one in found.clients:
        for reason, hours in sorted({**one.left_out, **one.waiting}.items()):
            click.echo(f"{names.get(one.client_id, one.client_id)}: {_text(hours)} h: {reason}")
    for off in found.mismatches:
        click.echo(f"{off.name}: {_text(off.closed)} h are closed in Taiga, {_text(off.found)} h are found", err=True)
        for entry in off.entries:
            reason = f" ({entry.reason})" if entry.reason else ""
            click.echo(
                f"  {entry.number}: {_text(entry.hours)} h {entry.stand.value.replace('_', ' ')}{reason}", err=True
            )
    click.echo(balance_in_words(found))


def _columns(one: ClientBalance) -> tuple[object, ...]:
    left_out, waiting = sum(one.left_out.values()), sum(one.waiting.values())
    return one.closed, one.billed, one.billable, left_out, waiting, one.difference


def _text(hours: object) -> str:
    return f"{hours:.2f}"
