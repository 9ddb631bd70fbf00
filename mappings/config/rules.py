"""The billing rules of mappings.json with their defaults; docs/mapping.md explains each."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StrictBool, Tag

from mappings.config.types import (
    Amount,
    Attribute,
    CurrencyCode,
    Day,
    Hour,
    Hours,
    IsoDate,
    Name,
    Notes,
    Part,
    PaymentTerms,
    Percent,
    Rate,
    TaxName,
    TimeZone,
)
from mappings.taiga.models import WorkKind

Rounding = Literal["none", "quarter_hour", "half_hour", "hour"]
RoundingMode = Literal["up", "nearest", "down"]
BelowMinimum = Literal["raise", "skip"]


class AttributeNames(Part):
    """The display names of the five Taiga custom attributes."""

    billable: Attribute = "Billable"
    hours: Attribute = "Duration (Hours)"
    hourly_rate: Attribute = "Hourly Rate"
    client: Attribute = "Client Invoice ID"
    invoice_status: Attribute = "Invoice Status"


class InvoiceStatusValues(Part):
    """The options of the dropdown "Invoice Status" in Taiga that the bridge writes."""

    not_billable: Name = "Not Billable"
    pending: Name = "Pending Invoice"
    invoiced: Name = "Invoiced"


class TaxRule(Part):
    """One tax of an invoice line, such as VAT 21 (percent)."""

    name: TaxName
    rate: Percent


def _whose_taxes(value: Any) -> str:
    return "[theirs]" if isinstance(value, str) else "[own]"


Taxes = Annotated[
    Annotated[tuple[TaxRule, ...], Field(max_length=3), Tag("[own]")]
    | Annotated[Literal["invoice_ninja"], Tag("[theirs]")],
    Discriminator(_whose_taxes),
]
"""Up to three taxes, or "invoice_ninja": the default taxes that Invoice Ninja has for the client."""


class Discount(Part):
    """A discount on a whole invoice: a percentage, or an amount in the client's currency."""

    kind: Literal["percent", "amount"] = "percent"
    value: Amount


class TimeRules(Part):
    """How hours closed in Taiga become a time entry."""

    billable_types: Annotated[tuple[WorkKind, ...], Field(min_length=1)] = ("task",)
    billable_from: IsoDate | None = None
    default_hourly_rate: Rate | None = None
    rounding: Rounding = "none"
    rounding_mode: RoundingMode = "up"
    min_billable_hours: Hours = Decimal(0)
    below_minimum: BelowMinimum = "raise"
    max_hours: Annotated[Hours, Field(gt=0)] = Decimal(1000)
    write_back: StrictBool = True


class InvoiceRules(TimeRules):
    """When and how time entries become invoices."""

    frequency: Literal["weekly", "biweekly", "monthly"] = "monthly"
    generation_day: Day = 1
    generation_hour: Hour = 6
    biweekly_anchor: IsoDate = "2024-01-01"
    timezone: TimeZone = "UTC"
    approval: Literal["automatic", "review"] = "review"
    invoice_per: Literal["client", "project"] = "client"
    group_by: Literal["task", "project", "user", "day", "none"] = "task"
    include: Literal["all", "synced"] = "all"
    split_at_period_end: StrictBool = False
    min_invoice_amount: Amount = Decimal(0)
    invoice_date: Literal["run_day", "period_end"] = "run_day"
    payment_terms: PaymentTerms = "net30"
    currency: CurrencyCode | None = None
    auto_send: StrictBool = False
    auto_bill: StrictBool = False
    product_key: Annotated[Notes, Field(max_length=200)] = ""
    taxes: Taxes | None = None
    inclusive_taxes: StrictBool | None = None
    discount: Discount | None = None
    notes: Notes = ""
    terms: Notes = ""
    footer: Notes = ""
    invoice_mark_field: Literal["custom_value1", "custom_value2", "custom_value3", "custom_value4"] = "custom_value4"


class BillingRules(InvoiceRules):
    """Every rule; a client and a project may override any of them."""

    match_by_amount: Literal["off", "propose", "auto"] = "propose"
    on_refund: Literal["reopen", "close"] = "close"
    email_receipt: StrictBool = False
    payment_link_field: Literal[
        "public_notes", "custom_value1", "custom_value2", "custom_value3", "custom_value4", "none"
    ] = "public_notes"
