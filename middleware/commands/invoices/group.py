"""`taiga-billing invoices`: plan, review, apply (docs/invoicing.md)."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import click

from handlers.errors import WorkError
from mappings.invoices.models import InvoicePlan
from mappings.invoices.period import Period, parse_period
from mappings.values.words import counted
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
from middleware.commands.invoices.link import link_command
from middleware.commands.invoices.release import bill_again_command, leave_command
from middleware.commands.invoices.report import as_json as plan_json
from middleware.commands.invoices.report import print_plan, print_sums
from middleware.invoicing.follow import Followed, OrderState
from middleware.invoicing.runs import FuturePeriodError, Runs, Standing, UnknownClientError, UnknownPlanError, open_runs
from middleware.settings import Settings

_EVENTS = "`taiga-billing events list --source schedule`"
_NO_WORKER = "no worker is running: start one (taiga-billing up), or generate again"
_GOES_ON = (
    f"stopped; the rest continues when a worker runs (taiga-billing up), or when you generate again: see {_EVENTS}"
)
_T = TypeVar("_T")
_Do = Callable[[Callable[[Runs], Coroutine[Any, Any, _T]]], _T]


@click.group("invoices")
def command() -> None:
    """Plan the invoices of a period, make them, and their payment pages."""


command.add_command(link_command)
command.add_command(bill_again_command)
command.add_command(leave_command)

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
    asked = _asked(month, period, client, plan_id)

    async def look(runs: Runs) -> InvoicePlan:
        if asked.plan_id:
            return await runs.stored(asked.plan_id)
        made = await runs.fresh(_wanted(asked.period, runs), asked.client)
        await runs.keep(made)
        return made

    with _with_runs() as do:
        made = do(look)
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
@click.option(
    "--wait", type=click.FloatRange(min=0), default=300, show_default=True, help="Seconds to wait for the invoices."
)
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
    wait: float,
    as_json: bool,
) -> None:
    """Make the invoices of a period; with --plan exactly those of the plan, or none when the work has changed since."""
    asked = _asked(month, period, client, plan_id)
    with _with_runs() as do:
        standing = do(lambda runs: _standing(runs, asked))
        made = standing.rest
        if standing.changed:
            _refuse(made, standing.changed, as_json=as_json)
        if dry_run:
            print_json(plan_json(made)) if as_json else print_plan(made, int(time.time()))
            raise click.exceptions.Exit(DIFFERENCES if made.invoices else 0)
        if not as_json:
            _introduce(standing)
        if made.invoices and not yes:
            # Outside of any event loop: Ctrl+C must end the question.
            _confirm(made)
        ended = Followed((), ())
        if made.invoices:
            ended = do(lambda runs: _make(runs, made, send=send, wait=wait, quiet=as_json))
    _print_end(made, ended, as_json=as_json)
    if not all(one.is_done for one in (*ended.clients, *ended.mails)):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options say: a period or a stored plan, and maybe a client."""

    period: str
    client: str
    plan_id: str


def _asked(month: str | None, period: str | None, client: str, plan_id: str) -> _Asked:
    given = [text for text in (month, period, plan_id) if text]
    if not given:
        raise WrongUseError("name the period: --month 2025-12, or --period, or a stored plan with --plan")
    if len(given) > 1:
        raise WrongUseError("give one of --month, --period and --plan; a stored plan knows its period")
    return _Asked(month or period or "", client, plan_id)


@contextmanager
def _with_runs() -> Iterator[_Do[Any]]:
    """Lets one use after the other be done, each in an event loop of its own, beside the same servers."""

    async def whole(settings: Settings, use: Callable[[Runs], Coroutine[Any, Any, Any]]) -> Any:
        async with (
            store(settings) as pool,
            interactive_traffic(settings, pool) as traffic,
            open_runs(settings, pool, traffic) as runs,
        ):
            return await use(runs)

    with servers_behind(settings_or_exit()) as settings:
        try:
            yield lambda use: run(whole(settings, use))
        except UnknownClientError as error:
            raise WrongUseError(f'Invoice Ninja has no single client "{error}": give its id or its number') from error
        except FuturePeriodError as error:
            raise WrongUseError(str(error)) from error
        except UnknownPlanError as error:
            raise WrongUseError(
                f"there is no plan {error}: the page Invoices lists them, `invoices plan --month` makes one"
            ) from error
        except WorkError as error:
            raise FailedError(str(error)) from error


def _wanted(text: str, runs: Runs) -> Period:
    try:
        return parse_period(text, runs.timezone)
    except ValueError as error:
        raise WrongUseError(str(error)) from error


async def _standing(runs: Runs, asked: _Asked) -> Standing:
    """What is to be made: of the stored plan, or a fresh one, which is stored."""
    if asked.plan_id:
        return await runs.standing(await runs.stored(asked.plan_id), asked.client)
    made = await runs.fresh(_wanted(asked.period, runs), asked.client)
    await runs.keep(made)
    return Standing(made, (), ())


async def _make(runs: Runs, made: InvoicePlan, *, send: bool, wait: float, quiet: bool) -> Followed:
    clients = {invoice.client_id: invoice.client_name for invoice in made.invoices}
    events = await runs.apply(made, clients, is_strict=True, send=True if send else None)
    try:
        followed = await runs.follower.follow(events, clients, wait, _ignore if quiet else _tell)
    except asyncio.CancelledError:
        click.echo(_GOES_ON, err=True)
        raise
    if any(not one.is_over for one in (*followed.clients, *followed.mails)):
        goes_on = "the workers continue with the rest" if await runs.follower.has_worker() else _NO_WORKER
        click.echo(f"stopped after {wait:g} s: {goes_on}; see {_EVENTS}", err=True)
    return followed


def _ignore(_state: OrderState) -> None:
    """With --json everything is printed at the end."""


def _tell(state: OrderState) -> None:
    click.echo(_told(state))


def _refuse(made: InvoicePlan, changed: tuple[str, ...], *, as_json: bool) -> None:
    """The end, with the differences."""
    if as_json:
        print_json({"plan_id": made.id, "period": made.period.name, "differences": changed})
    else:
        click.echo(f"plan {made.id} is not what would be made now:", err=True)
        for sentence in changed:
            click.echo(f"  {sentence}", err=True)
        again = f"`taiga-billing invoices plan --period {made.period.name}`"
        click.echo(f"look at a new plan with {again}; nothing was made", err=True)
    raise click.exceptions.Exit(DIFFERENCES)


def _introduce(standing: Standing) -> None:
    if standing.made:
        click.echo(f"made already of plan {standing.rest.id}: invoice {', '.join(standing.made)}")
    if standing.rest.invoices:
        print_sums(standing.rest)


def _confirm(made: InvoicePlan) -> None:
    if not sys.stdin.isatty():
        raise WrongUseError("this is not a terminal, so nobody can confirm: add --yes, or --dry-run to look only")
    click.confirm(f"Make {counted(len(made.invoices), 'invoice')} now?", abort=True)


def _told(ended: OrderState) -> str:
    name = ended.client_name or ended.client_id or "e-mail"
    if ended.is_done:
        return f"{name}: {ended.reason}"
    hint = f"; {ended.hint}" if ended.hint else ""
    return f"{name}: NOT DONE ({ended.status}, event {ended.event_id}): {ended.reason}{hint}"


def _print_end(made: InvoicePlan, ended: Followed, *, as_json: bool) -> None:
    failed = [one for one in ended.clients if not one.is_done]
    if as_json:
        parts = {name: [asdict(one) for one in getattr(ended, name)] for name in ("clients", "mails")}
        print_json({"plan_id": made.id, "period": made.period.name, **parts})
    elif not ended.clients:
        click.echo(f"nothing to bill for {made.period.name} ({len(made.left_out)} left out)")
    else:
        for mail in ended.mails:
            click.echo(_told(mail))
        click.echo(f"{counted(len(ended.clients) - len(failed), 'client')} done, {len(failed)} not done")
