"""Plans and their invoices as people read them."""

from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from mappings.hours import seconds_to_hours
from mappings.invoicing.draft import draft_of
from mappings.invoicing.period import local_date
from mappings.invoicing.plan_json import plan_as_json
from mappings.invoicing.records import InvoicePlan, PlannedInvoice
from mappings.invoicing.words import counted

PIPE_WIDTH = 170


def console() -> Console:
    """The terminal; a pipe has no width, and folded cells would be hard to read there."""
    found = Console()
    return found if found.is_terminal else Console(width=PIPE_WIDTH)


def print_plan(plan: InvoicePlan, now: int) -> None:
    """Every line of every invoice, what is left out, and the sums. `now` in unix seconds decides on the dates."""
    out = console()
    for invoice in plan.invoices:
        _print_invoice(out, plan, invoice, now)
    if plan.left_out:
        _print_left_out(out, plan)
    for warning in plan.warnings:
        out.print(f"[yellow]warning[/] {warning}", highlight=False)
    print_sums(plan)


def print_sums(plan: InvoicePlan) -> None:
    """One line for the whole plan."""
    hours = seconds_to_hours(sum(invoice.seconds for invoice in plan.invoices))
    totals = ", ".join(f"{total} {currency}" for currency, total in _totals(plan).items()) or "nothing"
    console().print(
        f"plan {plan.id} for {plan.period.name}: {counted(len(plan.invoices), 'invoice')}, {hours} h, {totals}",
        highlight=False,
        soft_wrap=True,
    )


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


def _print_invoice(out: Console, plan: InvoicePlan, invoice: PlannedInvoice, now: int) -> None:
    draft = draft_of(invoice, plan.period, local_date(now, plan.period.timezone))
    scope = f", project {invoice.entries[0].project or invoice.scope}" if invoice.scope else ""
    title = f"{invoice.client_name}{scope}: dated {draft.date}, due {draft.due_date} ({invoice.approval})"
    table = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("line", overflow="fold")
    for heading in ("hours", "rate", "tax", invoice.currency):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in invoice.lines:
        taxes = " + ".join(f"{tax.name} {tax.rate}%" for tax in line.taxes)
        amount = (line.quantity * line.cost).quantize(Decimal(1).scaleb(-invoice.precision))
        notes = line.notes.replace("\n", " \N{EM DASH} ")
        table.add_row(notes, str(line.quantity), str(line.cost), taxes, str(amount))
    table.add_section()
    totals = invoice.totals
    if totals.discount:
        table.add_row("discount", "", "", "", f"-{totals.discount}")
    for tax, tax_amount in totals.taxes:
        included = " (included)" if invoice.terms.inclusive_taxes else ""
        table.add_row(f"{tax.name} {tax.rate}%{included}", "", "", "", str(tax_amount))
    table.add_row("total", str(seconds_to_hours(invoice.seconds)), "", "", str(totals.total))
    out.print(table, highlight=False)
    out.print()


def _print_left_out(out: Console, plan: InvoicePlan) -> None:
    table = Table(title="left out", title_justify="left", show_edge=False, pad_edge=False)
    table.add_column("client")
    table.add_column("what", overflow="fold")
    table.add_column("hours", justify="right")
    table.add_column("why", overflow="fold")
    for one in plan.left_out:
        why = f"{one.reason}; {one.hint}" if one.hint else one.reason
        hours = str(seconds_to_hours(one.seconds)) if one.seconds else ""
        table.add_row(one.client_name or one.client_id or "-", one.what, hours, why)
    out.print(table, highlight=False)
    out.print()
