"""The taxes of an invoice line: those of mappings.json, or Invoice Ninja's own defaults when a rule asks for them.

Invoice Ninja itself applies its default taxes to nothing that the API sends (docs/facts/invoice-ninja-2.md section 2).
"""

from mappings.config.rules import BillingRules
from mappings.invoiceninja.models import Tax
from mappings.invoiceninja.settings import EffectiveSettings


def taxes_of(rules: BillingRules, theirs: EffectiveSettings) -> tuple[Tax, ...]:
    """The taxes on the lines under these rules."""
    if rules.taxes == "invoice_ninja":
        return theirs.taxes
    return tuple(Tax(tax.name, tax.rate) for tax in rules.taxes or ())


def includes_taxes(rules: BillingRules, theirs: EffectiveSettings) -> bool:
    """Whether the rates include the taxes; who takes over Invoice Ninja's taxes, takes over how they are counted."""
    if rules.inclusive_taxes is None:
        return rules.taxes == "invoice_ninja" and theirs.inclusive_taxes
    return rules.inclusive_taxes


def as_text(taxes: tuple[Tax, ...]) -> str:
    """`VAT 21 %`, `GST 5 % and PST 7 %`."""
    return " and ".join(f"{tax.name} {tax.rate.normalize():f} %" for tax in taxes)
