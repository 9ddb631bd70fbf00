"""Where Invoice Ninja's settings for a client change hours or sums: said before a run, and by `taiga-billing check`."""

from collections.abc import Iterable, Iterator

from mappings.config.rules import BillingRules
from mappings.invoiceninja.recipients import has_address
from mappings.invoiceninja.settings import EffectiveSettings
from mappings.invoices.models import Entry, PeriodWork
from mappings.invoices.scopes import Scopes
from mappings.invoices.taxes import as_text


def settings_warnings(work: PeriodWork, scopes: Scopes, entries: Iterable[Entry]) -> Iterator[str]:
    """One sentence for each setting of each client that is billed."""
    for client_id in sorted({entry.client_id for entry in entries}, key=lambda one: (work.clients[one].name, one)):
        for sentence in client_warnings(scopes.client(client_id), work.settings(client_id)):
            yield f"{work.clients[client_id].name}: {sentence}"
        if scopes.client(client_id).auto_send and not has_address(work.clients[client_id]):
            yield (
                f"{work.clients[client_id].name}: no contact has an e-mail address, so its invoices stay drafts though"
                " auto_send is on"
            )


def client_warnings(rules: BillingRules, theirs: EffectiveSettings) -> Iterator[str]:
    """What of these settings makes other hours or another sum than the rules alone would."""
    if theirs.rounding:
        yield (
            f"Invoice Ninja rounds the time of tasks {theirs.rounding}. Hours from Taiga are billed as they were sent,"
            " hours that people entered there as it rounded them, and nothing is divided at the end of a period;"
            " switch its rounding off (task_round_to_nearest 1), because mappings.json rounds"
        )
    yield from _tax_warnings(rules, theirs)
    if theirs.rounds_to_rappen:
        yield "Invoice Ninja rounds totals to 0.05 (enable_rappen_rounding), and so do the sums of this plan"
    if theirs.has_late_fees:
        yield "Invoice Ninja adds a late fee to invoices that are overdue: their amounts will rise by themselves"


def _tax_warnings(rules: BillingRules, theirs: EffectiveSettings) -> Iterator[str]:
    if rules.taxes is None and theirs.taxes:
        yield (
            f"Invoice Ninja's default tax is {as_text(theirs.taxes)}, and no rule names a tax: the invoice has none."
            ' Write "taxes": "invoice_ninja" in mappings.json to take it over, or "taxes": [] if there is none'
        )
    if rules.taxes == "invoice_ninja" and not theirs.taxes:
        yield 'the rule "taxes": "invoice_ninja" finds no default tax in Invoice Ninja: the invoice has none'
    if rules.taxes not in {None, (), "invoice_ninja"} and rules.inclusive_taxes is None and theirs.inclusive_taxes:
        yield (
            "Invoice Ninja has inclusive taxes, and no rule says so: taxes are added to the rates. Write"
            ' "inclusive_taxes": true or false in mappings.json'
        )
