"""`taiga-billing invoices`: plan, review, apply (docs/invoicing.md)."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from handlers.errors import WorkError
from mappings.invoicing.period import Period, parse_period
from mappings.invoicing.records import InvoicePlan
from middleware.commands.by_hand import asking_by_hand
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
from middleware.commands.invoice_report import as_json as plan_json
from middleware.commands.invoice_report import print_plan, print_sums
from middleware.commands.invoices_link import link_command
from middleware.invoice_runs import Ended, Runs, UnknownClientError, UnknownPlanError, open_runs
from middleware.settings import Settings


@click.group("invoices")
def command() -> None:
    """Plan the invoices of a period, make them, and their payment pages."""


command.add_command(link_command)

_month = click.option("--month", help="The month whose unbilled time is billed, such as 2025-12.")
_period = click.option("--period", help="Another period: 2025-W49, or 2025-12-01..2025-12-14.")
_client = click.option("--client", default="", help="Only this client: its id, number or id number.")
_plan = click.option("--plan", "plan_id", default="", help="A stored plan, such as p-3f9a1c20b7de.")


@command.command("plan")
@_month
@_period
@_client
@_plan
@json_option
def plan_command(*, month: str | None, period: str | None, client: str, plan_id: str, as_json: bool) -> None:
    """Show what would be billed, and what would not and why. Writes nothing to Invoice Ninja."""

    async def look(runs: Runs) -> InvoicePlan:
        if plan_id:
            return await runs.stored(plan_id)
        made = await runs.fresh(_wanted(month or period, runs), client)
        await runs.keep(made)
        return made

    made = _with_runs(look)
    if as_json:
        print_json(plan_json(made))
    else:
        print_plan(made, int(time.time()))


@command.command("generate")
@_month
@_period
@_client
@_plan
@click.option("--send", is_flag=True, help="E-mail the invoices, whatever auto_send says.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be made; exit code 3 when there is something.")
@json_option
def generate_command(
    *,
    month: str | None,
    period: str | None,
    client: str,
    plan_id: str,
    send: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make the invoices of a period; with --plan exactly those of the plan, or none when the work has changed since."""

    async def make(runs: Runs) -> tuple[InvoicePlan, list[Ended]]:
        if plan_id:
            made = await _unchanged(runs, plan_id, client)
        else:
            made = await runs.fresh(_wanted(month or period, runs), client)
        clients = await _clients(runs, made, client)
        if dry_run or not clients:
            return made, []
        if not as_json:
            print_sums(made)
        if not yes:
            await asyncio.to_thread(_confirm, len(clients))
        await runs.keep(made)
        events = await runs.apply(made, clients, is_strict=True, send=True if send else None)
        names = {invoice.client_id: invoice.client_name for invoice in made.invoices}
        return made, await _followed(runs, events, names, quiet=as_json)

    made, ended = _with_runs(make)
    if dry_run:
        print_json(plan_json(made)) if as_json else print_plan(made, int(time.time()))
        raise click.exceptions.Exit(DIFFERENCES if made.invoices else 0)
    _print_end(made, ended, as_json=as_json)
    if not all(one.is_done for one in ended):
        raise click.exceptions.Exit(1)


def _with_runs(use: Callable[[Runs], Coroutine[Any, Any, Any]]) -> Any:
    async def whole(settings: Settings) -> Any:
        async with (
            store(settings) as pool,
            asking_by_hand(settings, pool) as outages,
            open_runs(settings, pool, outages) as runs,
        ):
            return await use(runs)

    with servers_behind(settings_or_exit()) as settings:
        try:
            return run(whole(settings))
        except UnknownClientError as error:
            raise WrongUseError(f'Invoice Ninja has no single client "{error}": give its id or its number') from error
        except UnknownPlanError as error:
            raise WrongUseError(
                f"there is no plan {error}: `taiga-billing invoices plan` shows the id of each"
            ) from error
        except WorkError as error:
            raise FailedError(str(error)) from error


def _wanted(text: str | None, runs: Runs) -> Period:
    if not text:
        raise WrongUseError("say which period: --month 2025-12, or --period, or a stored plan with --plan")
    try:
        return parse_period(text, runs.timezone)
    except ValueError as error:
        raise WrongUseError(str(error)) from error


async def _unchanged(runs: Runs, plan_id: str, client: str) -> InvoicePlan:
    """The stored plan, if it would still be made as it is; else the end, with the differences."""
    kept = await runs.stored(plan_id)
    changed = await runs.changes_since(kept, client)
    if changed:
        click.echo(f"plan {plan_id} is not what would be made now:", err=True)
        for sentence in changed:
            click.echo(f"  {sentence}", err=True)
        click.echo("look at a new plan with `taiga-billing invoices plan`; nothing was made", err=True)
        raise click.exceptions.Exit(DIFFERENCES)
    return kept


async def _clients(runs: Runs, made: InvoicePlan, client: str) -> set[str]:
    of_plan = {invoice.client_id for invoice in made.invoices}
    return of_plan & {await runs.client_id(client)} if client else of_plan


def _confirm(clients: int) -> None:
    if not sys.stdin.isatty():
        raise WrongUseError("nobody can be asked here: give --yes, or --dry-run to look only")
    click.confirm(f"Make the invoices of {clients} clients now?", abort=True)


async def _followed(runs: Runs, events: dict[int, str], names: dict[str, str], *, quiet: bool) -> list[Ended]:
    console = Console(stderr=True)
    columns = (TextColumn("invoices"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(events))

        def report(ended: Ended) -> None:
            progress.advance(bar)
            if not quiet:
                click.echo(_told(ended))

        return await runs.follow(events, names, report)


def _told(ended: Ended) -> str:
    name = ended.client_name or ended.client_id
    if ended.is_done:
        return f"{name}: {ended.reason}"
    hint = f"; {ended.hint}" if ended.hint else ""
    return f"{name}: NOT DONE ({ended.status}, event {ended.event_id}): {ended.reason}{hint}"


def _print_end(made: InvoicePlan, ended: list[Ended], *, as_json: bool) -> None:
    failed = [one for one in ended if not one.is_done]
    if as_json:
        print_json({"plan_id": made.id, "period": made.period.name, "clients": [asdict(one) for one in ended]})
    elif not ended:
        click.echo(f"nothing to bill for {made.period.name} ({len(made.left_out)} left out)")
    else:
        click.echo(f"{len(ended) - len(failed)} clients done, {len(failed)} not done")
