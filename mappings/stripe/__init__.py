"""Reads what Stripe says about money, purely: events and API objects in, facts and targets out.

`classify` sorts events at the door, `fold` and `from_api` make the facts about one payment, `invoice_reference` finds
which invoice they name, and `target` says what Invoice Ninja should hold.
"""

from mappings.stripe.classify import RELEVANT_TYPES, Irrelevant, Relevant, account_of, classify
from mappings.stripe.facts import FailedAttempt, Labels, PaymentFacts
from mappings.stripe.fields import BadStripeObject
from mappings.stripe.fold import fold, from_api
from mappings.stripe.references import InvoiceConflict, InvoiceRef, ReferenceNames, invoice_reference
from mappings.stripe.target import PaymentTarget, target

__all__ = [
    "RELEVANT_TYPES",
    "BadStripeObject",
    "FailedAttempt",
    "InvoiceConflict",
    "InvoiceRef",
    "Irrelevant",
    "Labels",
    "PaymentFacts",
    "PaymentTarget",
    "ReferenceNames",
    "Relevant",
    "account_of",
    "classify",
    "fold",
    "from_api",
    "invoice_reference",
    "target",
]
