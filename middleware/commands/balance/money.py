"""`taiga-billing balance money` (docs/payments.md)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from handlers.errors import RemoteError
from mappings.stripe.balance import CurrencyBalance, MoneyReport
from middleware.commands.common import (
    DIFFERENCES,
    FailedError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.interactive import interactive_traffic
from middleware.commands.reconcile.run import Tell, watched_progress
from middleware.mapping.load import load_mapping
from middleware.reconcile.balance import BalanceTools, count_money
from middleware.reconcile.opening import open_books_and_any_stripe
from middleware.settings import Settings

_LONGEST_MONTH = timedelta(days=32)


class Month(click.ParamType[date]):
    """A month such as 2026-11, as its first day."""

    name = "month"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The first day of the month."""
        if isinstance(value, date):
            return value
        try:
            return datetime.strptime(str(value), "%Y-%m").date()  # noqa: DTZ007 - a month has no time zone of its own
        except ValueError:
            self.fail(f"{value!r} is not a month such as 2026-11", param, ctx)


@click.command("money")
@click.option("--month", type=Month(), help="Only money that arrived in this month: 2026-11.")
@json_option
def money_command(*, month: date | None, as_json: bool) -> None:
    """Compare what Stripe received with what Invoice Ninja holds, for each currency.

    Received minus refunds, lost disputes and returned debits = recorded + unmatched + ignored + under way. Exit codes:
    0: it adds up; 1: failed; 2: wrong use; 3: a payment differs.
    """
    with servers_behind(settings_or_exit()) as settings, watched_progress("counting the money") as tell:
        report = run(_count(settings, month, tell))
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    if not report.is_balanced:
        raise click.exceptions.Exit(DIFFERENCES)


async def _count(settings: Settings, month: date | None, tell: Tell) -> MoneyReport:
    months = _span(month, settings) if month else None
    async with (
        store(settings) as pool,
        interactive_traffic(settings, pool, ["stripe", "invoiceninja"]) as traffic,
        open_books_and_any_stripe(settings) as (stripe, books),
    ):
        books.through(traffic.admit("invoiceninja"))
        if stripe is not None:
            stripe.through(traffic.admit("stripe"))
        try:
            return await count_money(BalanceTools(books, pool, stripe), datetime.now(UTC), months, tell)
        except RemoteError as error:
            raise FailedError(str(error)) from error


def _span(month: date, settings: Settings) -> tuple[datetime, datetime]:
    """The month in the time zone of the billing rules."""
    zone = ZoneInfo(load_mapping(settings.mappings_file).billing_rules.timezone)
    following = (month + _LONGEST_MONTH).replace(day=1)
    first, last = (datetime(day.year, day.month, 1, tzinfo=zone) for day in (month, following))
    return first, last


def _print(report: MoneyReport) -> None:
    for code in sorted(report.currencies):
        _print_currency(report.currencies[code])
    for one in report.differing:
        click.echo(f"{one.identity}: {one.sentence}")
    for sentence in report.not_counted:
        click.echo(f"not counted: {sentence}", err=True)
    if not report.currencies:
        click.echo("no money arrived")
    if report.differing:
        click.echo("to repair it: taiga-billing reconcile stripe")
        click.echo("what is left then: taiga-billing payments list --status needs_person")


def _print_currency(sums: CurrencyBalance) -> None:
    click.echo(f"{sums.sentence} ({sums.payments} payments; {sums.returned:,} went back)")
    if sums.unmatched:
        click.echo(f"    {sums.unmatched:,} waits for a person (taiga-billing payments unmatched)")
    if sums.under_way:
        click.echo(f"    {sums.under_way:,} is under way")
    for reason, amount in sorted(sums.ignored.items()):
        click.echo(f"    {amount:,} is left out: {reason}")
