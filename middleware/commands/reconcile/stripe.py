"""`taiga-billing reconcile stripe` (docs/payments.md)."""

from collections.abc import Sequence
from datetime import datetime

import click

from handlers.ports.events import EventSink
from handlers.reconcile.stripe_models import StripeDifference, StripeReport, StripeScope
from middleware.commands.common import json_option
from middleware.commands.options import Ago
from middleware.commands.reconcile.run import Tell, carry_out, dry_run_option, in_the_past, print_left_out
from middleware.reconcile.opening import open_stripe_and_books
from middleware.reconcile.stripe import StripeTools, reconcile
from middleware.settings import Settings
from middleware.store.database import Pool
from middleware.traffic.traffic import Traffic

MOST_READS = 10_000


@click.command("stripe")
@click.option(
    "--since",
    type=Ago(),
    callback=in_the_past,
    default="7d",
    show_default=True,
    help="What moved since: 30d, 12h, or 2026-11-01.",
)
@dry_run_option
@json_option
def reconcile_stripe(*, since: datetime, dry_run: bool, as_json: bool) -> None:
    """Compare payments, refunds and disputes at Stripe with Invoice Ninja, and enqueue what it lacks.

    Exit codes: 0: done, or nothing to do; 1: failed, or something was left out; 2: wrong use; 3: --dry-run covered
    everything, and something would be enqueued. What is under way or was enqueued before is shown and does not count.
    """

    async def look(
        settings: Settings, pool: Pool, traffic: Traffic, sink: EventSink | None, tell: Tell
    ) -> StripeReport:
        async with open_stripe_and_books(settings) as (stripe, books):
            stripe.through(traffic.admit("stripe"))
            books.through(traffic.admit("invoiceninja"))
            return await reconcile(
                StripeTools(stripe, books, pool, sink), StripeScope(since, most_reads=MOST_READS), "manual", tell
            )

    carry_out(["stripe", "invoiceninja"], look, _print, dry_run=dry_run, as_json=as_json)


def _print(report: StripeReport, verb: str) -> None:
    _print_lines(report.differences, verb)
    _print_lines(report.under_way, "under way already")
    _print_lines(report.told_before, "enqueued before, and ended otherwise")
    print_left_out(report)
    where = "payments unmatched, or payments list --status needs_person"
    rest = [f"{report.waiting} wait for a person (taiga-billing {where})"] if report.waiting else []
    counted = f"{report.looked_at} payments compared, {len(report.differences)} {verb}"
    click.echo("; ".join([counted, *rest]))


def _print_lines(found: Sequence[StripeDifference], what: str) -> None:
    for one in found:
        event = f" (event {one.event})" if one.event else ""
        click.echo(f"{one.identity}  {one.amount}  {what}: {one.why}{event}")
