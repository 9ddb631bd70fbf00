"""What changed between two plans, in sentences."""

from collections.abc import Iterator
from decimal import Decimal

from mappings.invoices.identity import fingerprint
from mappings.invoices.models import InvoicePlan, PlannedInvoice
from mappings.values.hours import seconds_to_hours


def difference(before: InvoicePlan, now: InvoicePlan) -> list[str]:
    """One sentence for each change from `before` to `now`; empty when they would make the same invoices."""
    old, new = _by_scope(before), _by_scope(now)
    return [sentence for key in sorted(old | new) for sentence in changes(old.get(key), new.get(key))]


def changes(before: PlannedInvoice | None, now: PlannedInvoice | None) -> Iterator[str]:
    """What changed in one invoice; None when it is in none of the plans."""
    if before is None or now is None:
        invoice = before or now
        if invoice is not None:
            word = "is not due any more" if now is None else "is new"
            yield f"{_named(invoice)}: the invoice of {_worth(invoice)} {word}"
        return
    if fingerprint(before) == fingerprint(now):
        return
    if before.totals.total != now.totals.total:
        yield f"{_named(now)}: {_worth(before)} then, {_worth(now)} now"
    yield from _entries(before, now)


def _entries(before: PlannedInvoice, now: PlannedInvoice) -> Iterator[str]:
    old = {entry.task_id: entry for entry in before.entries}
    new = {entry.task_id: entry for entry in now.entries}
    is_explained = False
    for task_id in sorted(old | new):
        was, is_now = old.get(task_id), new.get(task_id)
        number = (was or is_now or now.entries[0]).number
        if was is None or is_now is None:
            seconds = (was or is_now or now.entries[0]).seconds
            yield f"{_named(now)}: {number} ({_h(seconds)}) {'is gone' if is_now is None else 'came in'}"
        elif (was.seconds, was.rate) != (is_now.seconds, is_now.rate):
            then = f"{_h(was.seconds)} at {was.rate} then"
            yield f"{_named(now)}: {number}: {then}, {_h(is_now.seconds)} at {is_now.rate} now"
        else:
            continue
        is_explained = True
    if not is_explained and before.totals.total == now.totals.total:
        yield f"{_named(now)}: texts, taxes or terms changed"


def _by_scope(plan: InvoicePlan) -> dict[tuple[str, str], PlannedInvoice]:
    return {(invoice.client_id, invoice.scope): invoice for invoice in plan.invoices}


def _named(invoice: PlannedInvoice) -> str:
    return f"{invoice.client_name} ({invoice.scope})" if invoice.scope else invoice.client_name


def _worth(invoice: PlannedInvoice) -> str:
    return f"{invoice.totals.total} {invoice.currency} for {_h(invoice.seconds)}"


def _h(seconds: int) -> str:
    hours: Decimal = seconds_to_hours(seconds)
    return f"{hours} h"
