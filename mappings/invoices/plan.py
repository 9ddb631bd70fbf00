"""The plan of a run: which invoices would be made, what is left out and why. Nothing is written."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import groupby

from mappings.config.file import MappingFile
from mappings.config.rules import BillingRules
from mappings.invoiceninja.models import Currency
from mappings.invoiceninja.settings import EffectiveSettings
from mappings.invoices.doubts import REPAIR, doubtful_clients, reference_warnings
from mappings.invoices.entries import select
from mappings.invoices.identity import plan_id
from mappings.invoices.lines import lines_of
from mappings.invoices.models import Entry, InvoicePlan, LeftOut, PeriodWork, PlannedInvoice, Terms
from mappings.invoices.period import Period
from mappings.invoices.scopes import Scopes, scopes_of
from mappings.invoices.settings_warnings import settings_warnings
from mappings.invoices.taxes import includes_taxes
from mappings.invoices.totals import sums
from mappings.values.hours import seconds_to_hours
from mappings.values.words import counted


def plan(work: PeriodWork, mapping: MappingFile, only: Collection[str] | None = None) -> InvoicePlan:
    """What a run for this period would make of the work, by the rules; of some clients (by id) only, when given."""
    scopes = scopes_of(mapping, work.clients)
    if only is not None:
        work = replace(work, tasks=[task for task in work.tasks if task.client_id in only])
    selection = select(work, scopes)
    invoices: list[PlannedInvoice] = []
    left_out = list(selection.left_out)
    doubts = doubtful_clients(work, mapping)
    for client_id, group in groupby(selection.entries, key=lambda entry: entry.client_id):
        entries = list(group)
        if client_id in doubts:
            left_out.append(_refusal(client_id, "", entries, work, doubts[client_id], hint=REPAIR))
            continue
        made, refused = _of_client(client_id, entries, work, scopes)
        invoices += made
        left_out += refused
    left_out += [one for one in (*_unrecorded(work, scopes), *_credits(work)) if only is None or one.client_id in only]
    invoices.sort(key=lambda invoice: (invoice.client_name, invoice.client_id, invoice.scope))
    return InvoicePlan(
        id=plan_id(work.period, invoices),
        period=work.period,
        invoices=tuple(invoices),
        left_out=tuple(sorted(left_out, key=lambda one: (one.client_name, one.client_id, one.what))),
        warnings=(
            *reference_warnings(work, mapping),
            *settings_warnings(work, scopes, selection.entries),
            *_late(work, invoices),
            *selection.warnings,
        ),
    )


def _of_client(
    client_id: str, entries: list[Entry], work: PeriodWork, scopes: Scopes
) -> tuple[list[PlannedInvoice], list[LeftOut]]:
    client_rules = scopes.client(client_id)
    by_scope: dict[str, list[Entry]] = {}
    for entry in entries:
        by_scope.setdefault(_scope(entry) if client_rules.invoice_per == "project" else "", []).append(entry)
    made, refused = [], []
    for scope, members in sorted(by_scope.items()):
        rules = _rules(scope, members, client_rules, work, scopes)
        currency = _currency(client_id, rules, work)
        if isinstance(currency, str):
            refused.append(_refusal(client_id, scope, members, work, currency))
            continue
        invoice = _invoice(scope, members, rules, work, currency)
        net = invoice.totals.subtotal - invoice.totals.discount
        if net <= 0 or net < rules.min_invoice_amount:
            why = f"{net} {invoice.currency} is below min_invoice_amount {rules.min_invoice_amount}: it waits for more"
            refused.append(_refusal(client_id, scope, members, work, why if net > 0 else "the amount is 0"))
        else:
            made.append(invoice)
    return made, refused


def _scope(entry: Entry) -> str:
    return entry.project_id or entry.project or "-"


def _rules(scope: str, members: list[Entry], of_client: BillingRules, work: PeriodWork, scopes: Scopes) -> BillingRules:
    if not scope:
        return of_client
    first = members[0]
    link = work.links.get(first.task_id)
    return scopes.project(link.taiga_project_id if link else None, first.project_id, first.client_id)


def _invoice(
    scope: str, members: list[Entry], rules: BillingRules, work: PeriodWork, currency: Currency
) -> PlannedInvoice:
    client = work.clients[members[0].client_id]
    terms = _terms(rules, work.settings(client.id), work.period)
    lines = lines_of(members, rules.group_by, work.period)
    return PlannedInvoice(
        client_id=client.id,
        client_name=client.name,
        scope=scope,
        project_id=members[0].project_id if scope else "",
        currency=currency.code,
        precision=currency.precision,
        entries=tuple(sorted(members, key=lambda entry: (entry.day, entry.number, entry.task_id))),
        lines=lines,
        totals=sums(lines, terms, currency.precision),
        terms=terms,
        approval=rules.approval,
    )


def _terms(rules: BillingRules, theirs: EffectiveSettings, period: Period) -> Terms:
    discount = rules.discount
    return Terms(
        payment_terms=rules.payment_terms,
        invoice_date=rules.invoice_date,
        timezone=period.timezone,
        mark_field=rules.invoice_mark_field,
        group_by=rules.group_by,
        inclusive_taxes=includes_taxes(rules, theirs),
        discount=discount.value if discount else Decimal(0),
        is_amount_discount=discount is not None and discount.kind == "amount",
        notes=rules.notes,
        auto_send=rules.auto_send,
        auto_bill=rules.auto_bill,
        terms=rules.terms,
        footer=rules.footer,
        rounds_to_rappen=theirs.rounds_to_rappen,
    )


def _currency(client_id: str, rules: BillingRules, work: PeriodWork) -> Currency | str:
    """The client's currency, or why it cannot be billed in it."""
    currency_id = work.settings(client_id).currency_id
    currency = work.statics.currencies.get(currency_id)
    if currency is None:
        return f'currency conflict: Invoice Ninja has no currency "{currency_id}"'
    if rules.currency not in {None, currency.code}:
        return f"currency conflict: the rates are in {rules.currency} (mappings.json), the client pays {currency.code}"
    return currency


def _refusal(
    client_id: str, scope: str, members: list[Entry], work: PeriodWork, reason: str, *, hint: str = ""
) -> LeftOut:
    what = counted(len(members), "entry") + (f" of project {members[0].project or scope}" if scope else "")
    seconds = sum(entry.seconds for entry in members)
    ids = tuple(entry.task_id for entry in members)
    return LeftOut(client_id, work.clients[client_id].name, what, seconds, reason, hint, task_ids=ids)


def _unrecorded(work: PeriodWork, scopes: Scopes) -> Iterator[LeftOut]:
    """Taiga events that are not done: their hours are not in Invoice Ninja, or not the right ones."""
    recorded = {link.subject for link in work.links.values()}
    for event in {event.subject: event for event in work.unresolved}.values():
        client_id = scopes.client_of_taiga_project.get(event.taiga_project_id or 0, "")
        if event.subject not in recorded:
            client = work.clients.get(client_id)
            reason = f"event {event.event_id} is not done ({event.status}: {event.reason or 'in hand'})"
            yield LeftOut(client_id, client.name if client else "", event.name, 0, reason, event.hint)


def _credits(work: PeriodWork) -> Iterator[LeftOut]:
    for credit in work.credits:
        client = work.clients.get(credit.client_id)
        is_credit = credit.kind == "credit_proposal"
        reason = f"a credit waits for a person: {credit.summary}" if is_credit else credit.summary
        hint = "give it in Invoice Ninja, then close the review on the dashboard" if is_credit else ""
        yield LeftOut(credit.client_id, client.name if client else "", credit.subject, 0, reason, hint)


def _late(work: PeriodWork, invoices: Iterable[PlannedInvoice]) -> Iterator[str]:
    """Work of earlier periods that comes along: a person who reviews the plan should not wonder."""
    for invoice in invoices:
        late = [entry for entry in invoice.entries if entry.day < work.period.first]
        if late:
            hours = seconds_to_hours(sum(entry.seconds for entry in late))
            yield (
                f"{invoice.client_name}: {hours} h are older than {work.period.name} (since"
                f" {min(entry.first_day for entry in late)}) and on no invoice yet: they are billed now"
            )
