"""Plans and their invoices as people read them."""

from datetime import date
from decimal import Decimal
from typing import Any

import click
from rich.console import Console

from mappings.invoices.draft import draft_of
from mappings.invoices.models import InvoicePlan, PlannedInvoice
from mappings.invoices.period import local_date
from mappings.invoices.plan_json import plan_as_json
from mappings.invoices.totals import rounded
from mappings.values.hours import seconds_to_hours
from mappings.values.words import counted
from middleware.commands.output import PlainTable

PIPE_WIDTH = 170


def print_plan(plan: InvoicePlan, now: int) -> None:
    """Every line of every invoice, what is left out, and the sums. `now` in unix seconds decides on the dates."""
    console = Console()
    room = console.width if console.is_terminal else PIPE_WIDTH
    today = local_date(now, plan.period.timezone)
    for invoice in plan.invoices:
        _print(_title(plan, invoice, today), _lines(invoice), room)
    if plan.left_out:
        _print("left out", _left_out(plan), room)
    if now < plan.period.ends_at:
        click.echo(f"{plan.period.name} has not ended: what is closed later is left for another plan")
    for warning in plan.warnings:
        click.echo(f"{click.style('warning', fg='yellow')} {warning}")
    print_sums(plan)


def print_sums(plan: InvoicePlan) -> None:
    """One line for the whole plan."""
    hours = seconds_to_hours(sum(invoice.seconds for invoice in plan.invoices))
    totals = ", ".join(f"{total} {currency}" for currency, total in _totals(plan).items()) or "nothing"
    invoices = counted(len(plan.invoices), "invoice")
    click.echo(f"plan {plan.id} for {plan.period.name}: {invoices}, {hours} h, {totals}")


def as_json(plan: InvoicePlan) -> dict[str, Any]:
    """The plan with its sums."""
    totals = {currency: str(total) for currency, total in _totals(plan).items()}
    hours = seconds_to_hours(sum(invoice.seconds for invoice in plan.invoices))
    return {**plan_as_json(plan), "hours": str(hours), "totals": totals}


def _totals(plan: InvoicePlan) -> dict[str, Decimal]:
    totals: dict[str, Decimal] = {}
    for invoice in plan.invoices:
        totals[invoice.currency] = totals.get(invoice.currency, Decimal(0)) + invoice.totals.total
    return totals


def _print(title: str, table: PlainTable, room: int) -> None:
    click.echo("\n".join((click.style(title, bold=True), *table.lines(room), "")))


def _title(plan: InvoicePlan, invoice: PlannedInvoice, today: date) -> str:
    draft = draft_of(invoice, plan.period, today)
    scope = f", project {invoice.entries[0].project or invoice.scope}" if invoice.scope else ""
    return f"{invoice.client_name}{scope}: dated {draft.date}, due {draft.due_date} ({invoice.approval})"


def _lines(invoice: PlannedInvoice) -> PlainTable:
    headings = ("line", "hours", "rate", "tax", invoice.currency)
    table = PlainTable(headings, folded=frozenset({0}), right=frozenset({1, 2, 3, 4}))
    for line in invoice.lines:
        taxes = " + ".join(f"{tax.name} {tax.rate}%" for tax in line.taxes)
        amount = rounded(line.quantity * line.cost, invoice.precision)
        notes = line.notes.replace("\n", " \N{EM DASH} ")
        table.add(notes, str(line.quantity), str(line.cost), taxes, str(amount))
    table.rule()
    totals = invoice.totals
    if totals.discount:
        table.add("discount", "", "", "", f"-{totals.discount}")
    for tax, tax_amount in totals.taxes:
        included = " (included)" if invoice.terms.inclusive_taxes else ""
        table.add(f"{tax.name} {tax.rate}%{included}", "", "", "", str(tax_amount))
    table.add("total", str(seconds_to_hours(invoice.seconds)), "", "", str(totals.total))
    return table


def _left_out(plan: InvoicePlan) -> PlainTable:
    table = PlainTable(("client", "what", "hours", "why"), folded=frozenset({1, 3}), right=frozenset({2}))
    for one in plan.left_out:
        why = f"{one.reason}; {one.hint}" if one.hint else one.reason
        hours = str(seconds_to_hours(one.seconds)) if one.seconds else ""
        table.add(one.client_name or one.client_id or "-", one.what, hours, why)
    return table
