"""`taiga-billing payments`: what became of Stripe's payments, and decisions about those that wait for a person."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handlers.ports.billing import PaymentRecord
from mappings.values.money import MoneyError, money, to_major
from mappings.values.text import one_line
from middleware.commands.common import (
    FailedError,
    WrongUseError,
    json_option,
    print_json,
    run,
    servers_behind,
    settings_or_exit,
    store,
)
from middleware.commands.interactive import warn_of_paused_systems
from middleware.commands.options import cli_actor
from middleware.intake.decisions import Decision, decision_event
from middleware.intake.ingest import open_ingest
from middleware.replay.decision_preview import decision_preview
from middleware.settings import Settings
from middleware.store.billing.payments import STATUSES, PaymentStore
from middleware.store.database import Pool
from middleware.store.events.events import FINISHED, EventRow, EventStore
from middleware.store.operations.audit import AuditEntry, AuditStore

PIPE_WIDTH = 200
LOOK_SECONDS = 0.05


_wait = click.option(
    "--wait", type=click.FloatRange(0, 600), default=10, show_default=True, help="Seconds to wait for a worker."
)
_yes = click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
_limit = click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
_after = click.option("--after", default="", help="Only payments behind this one: the next page.")


@click.group("payments")
def command() -> None:
    """Payments of Stripe and their state; match or ignore those that need a decision."""


@command.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only payments in this status.")
@_limit
@_after
@json_option
def list_payments(*, status: str | None, limit: int, after: str, as_json: bool) -> None:
    """List payments by their ids."""
    with servers_behind(settings_or_exit()) as settings:
        records = run(_read(settings, status, limit, after))
    if as_json:
        print_json([shown(record) for record in records])
    else:
        _print_table(records)


@command.command("unmatched")
@_limit
@_after
@json_option
def unmatched(*, limit: int, after: str, as_json: bool) -> None:
    """List payments that are for no invoice yet, with the candidates and why each was not taken."""
    with servers_behind(settings_or_exit()) as settings:
        records = run(_read(settings, "unmatched", limit, after))
    if as_json:
        print_json([shown(record) for record in records])
        return
    for record in records:
        click.echo(f"{record.identity}  {_amount(record)}  {_day(record)}  {one_line(record.payer or record.customer)}")
        click.echo(f"    {record.reason}")
        for one in record.candidates:
            click.echo(f"    invoice {one.number or one.invoice_id} (open: {one.balance}): {one.why_not}")
        if not record.candidates:
            click.echo("    no open invoice fits it")
    if records:
        click.echo(
            "decide on one: taiga-billing payments match PAYMENT INVOICE, or payments ignore PAYMENT --why REASON"
        )
    else:
        click.echo("no payment is waiting for an invoice")


@command.command("match")
@click.argument("payment")
@click.argument("invoice")
@click.option("--why", default="", help="The reason, kept with the event.")
@_yes
@_wait
@json_option
def match(*, payment: str, invoice: str, why: str, is_sure: bool, wait: float, as_json: bool) -> None:
    """Say which invoice (number or id) a payment (pi_..., ch_...) is for; the worker records it.

    Shows the client, the open balance and the result first.
    """
    _decide("match", payment, {"invoice": invoice, "why": why}, wait, is_sure=is_sure, as_json=as_json)


@command.command("ignore")
@click.argument("payment")
@click.option("--why", required=True, help="The reason, kept with the event.")
@_wait
@json_option
def ignore(*, payment: str, why: str, wait: float, as_json: bool) -> None:
    """Say that a payment is for no invoice; a later `match` takes that back. Recorded money cannot be ignored."""
    _decide("ignore", payment, {"why": why}, wait, is_sure=True, as_json=as_json)


@command.command("unmatch")
@click.argument("payment")
@click.option("--why", required=True, help="The reason, kept with the event.")
@_yes
@_wait
@json_option
def unmatch(*, payment: str, why: str, is_sure: bool, wait: float, as_json: bool) -> None:
    """Take a recorded payment off its invoice, so that it can be matched with another one.

    Shows first what is deleted in Invoice Ninja, and which invoice is owed again.
    """
    _decide("unmatch", payment, {"why": why}, wait, is_sure=is_sure, as_json=as_json)


def _decide(
    action: Decision, payment: str, words: Mapping[str, str], wait: float, *, is_sure: bool, as_json: bool
) -> None:
    with servers_behind(settings_or_exit()) as settings:
        lines = run(_preview(settings, action, payment, words.get("invoice", "")))
        if not is_sure:
            _confirm(action, lines)
        row = run(_store_decision(settings, action, payment, words, wait))
    if as_json:
        print_json(row)
    else:
        said = f"{row.status}: {row.reason}" if row.status in FINISHED else "stored; it is waiting for a worker"
        click.echo(f"event {row.id} {said}")
        if row.hint:
            click.echo(f"hint: {row.hint}")
    if row.status == "dead":
        raise click.exceptions.Exit(FailedError.exit_code)


def _confirm(action: Decision, lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line, err=True)
    if not sys.stdin.isatty():
        raise WrongUseError("this is not a terminal, so nobody can confirm: add --yes")
    click.confirm(f"{action} it?", abort=True, err=True)


async def _preview(settings: Settings, action: Decision, payment: str, invoice: str) -> Sequence[str]:
    """What the decision would do, in sentences."""
    async with store(settings) as pool:
        record = await _found(pool, payment)
        if not settings.invoice_ninja_api:
            return ("INVOICE_NINJA_API is not set here, so the result cannot be shown first",)
        shown = await decision_preview(settings, pool, action, record, invoice)
    if shown.refusal:
        raise FailedError(shown.refusal)
    return shown.lines


async def _found(pool: Pool, payment: str) -> PaymentRecord:
    record = await PaymentStore(pool).find(payment)
    if record is None:
        raise FailedError(f"there is no payment {payment}: see `taiga-billing payments list`")
    return record


async def _store_decision(
    settings: Settings, action: Decision, payment: str, words: Mapping[str, str], wait: float
) -> EventRow:
    async with store(settings) as pool:
        record = await _found(pool, payment)
        async with open_ingest(settings, pool) as sink:
            event = decision_event(action, record, words, cli_actor(), datetime.now(UTC))
            (stored,) = await sink.enqueue([event])
        summary = f"payment {payment}: {action} {words.get('invoice', '')}".rstrip()
        entry = AuditEntry(cli_actor(), f"payment.{action}", summary, dict(words), (stored.event_id,))
        await AuditStore(pool).record(entry)
        await warn_of_paused_systems(settings, pool)
        return await _settled(pool, stored.event_id, wait)


async def _settled(pool: Pool, event_id: int, wait: float) -> EventRow:
    """The event when it has ended, or as it is when the waiting does."""
    ends_at = time.monotonic() + wait
    while True:
        row = await EventStore(pool).find(event_id)
        if row is None:
            raise FailedError(f"event {event_id} is gone")
        if row.status in FINISHED or time.monotonic() >= ends_at:
            return row
        await asyncio.sleep(LOOK_SECONDS)


async def _read(settings: Settings, status: str | None, limit: int, after: str) -> list[PaymentRecord]:
    async with store(settings) as pool:
        return await PaymentStore(pool).list(status=status, limit=limit, after=after)


def shown(record: PaymentRecord) -> dict[str, Any]:
    """A record as JSON shows it: without what only we need; amounts are decimal strings in units of the currency."""
    names = ("identity", "status", "reason", "currency", "fee_currency", "customer")
    more = ("payer", "paid_at", "livemode", "client_id", "invoice_id", "invoice_number", "payment_number", "matched_by")
    return {
        **{name: getattr(record, name) for name in (*names, *more, "candidates")},
        "amount": _decimal(record.amount, record.currency),
        "refunded": _decimal(record.refunded, record.currency),
        "fee": None if record.fee is None else _decimal(record.fee, record.fee_currency),
    }


def _decimal(minor: int, currency: str) -> str:
    """The amount as a decimal string; as Stripe sent it, with the word for that, where nobody can read it."""
    try:
        return str(to_major(minor, currency))
    except MoneyError:
        return money(minor, currency)


def _print_table(records: list[PaymentRecord]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("payment", "paid", "amount", "status", "invoice", "of", "reason"):
        table.add_column(heading, overflow="fold")
    for record in records:
        who = record.payer or record.customer
        cells = (record.identity, _day(record), _amount(record), record.status, record.invoice_number, who)
        # As text: what people and banks write is no markup.
        table.add_row(*map(Text, (*cells, record.reason)))
    console = Console()
    Console(width=None if console.is_terminal else PIPE_WIDTH).print(table if records else "no payments")


def _amount(record: PaymentRecord) -> str:
    back = f" (-{money(record.refunded, record.currency)})" if record.refunded else ""
    return f"{money(record.amount, record.currency)}{back}" if record.currency else ""


def _day(record: PaymentRecord) -> str:
    return f"{record.paid_at:%Y-%m-%d}" if record.paid_at else ""
