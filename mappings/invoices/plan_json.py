"""Plans as JSON, for the store and for `--json`: decimals as text, days as ISO dates."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any

from mappings.invoiceninja.models import Tax
from mappings.invoices.models import Entry, InvoicePlan, Line, PlannedInvoice, Terms, Totals
from mappings.invoices.period import Period


def plan_as_json(plan: InvoicePlan) -> dict[str, Any]:
    """The whole plan."""
    encoded: dict[str, Any] = _plain({**asdict(plan), "period": period_as_json(plan.period)})
    return encoded


def invoice_as_json(invoice: PlannedInvoice) -> dict[str, Any]:
    """One planned invoice; `invoice_from_json` reads it."""
    encoded: dict[str, Any] = _plain(asdict(invoice))
    return encoded


def period_as_json(period: Period) -> dict[str, str]:
    """A period with its name."""
    days = {"first": period.first.isoformat(), "last": period.last.isoformat()}
    return {"name": period.name, **days, "timezone": period.timezone}


def period_from_json(data: Mapping[str, Any]) -> Period:
    """The period that `period_as_json` wrote."""
    return Period(date.fromisoformat(data["first"]), date.fromisoformat(data["last"]), data["timezone"])


def invoice_from_json(data: Mapping[str, Any]) -> PlannedInvoice:
    """The planned invoice that `invoice_as_json` wrote."""
    totals = data["totals"]
    return PlannedInvoice(
        **{
            **data,
            "entries": tuple(_entry(one) for one in data["entries"]),
            "lines": tuple(_line(one) for one in data["lines"]),
            "totals": Totals(
                subtotal=Decimal(totals["subtotal"]),
                discount=Decimal(totals["discount"]),
                taxes=tuple((_tax(tax), Decimal(amount)) for tax, amount in totals["taxes"]),
                total_taxes=Decimal(totals["total_taxes"]),
                total=Decimal(totals["total"]),
            ),
            "terms": Terms(**{**data["terms"], "discount": Decimal(data["terms"]["discount"])}),
        }
    )


def _entry(data: Mapping[str, Any]) -> Entry:
    raw = data["raw_hours"]
    read = {
        "first_day": date.fromisoformat(data["first_day"]),
        "day": date.fromisoformat(data["day"]),
        "rate": Decimal(data["rate"]),
        "taxes": tuple(_tax(tax) for tax in data["taxes"]),
        "raw_hours": None if raw is None else Decimal(raw),
    }
    return Entry(**{**data, **read})


def _line(data: Mapping[str, Any]) -> Line:
    read = {
        "quantity": Decimal(data["quantity"]),
        "cost": Decimal(data["cost"]),
        "taxes": tuple(_tax(tax) for tax in data["taxes"]),
    }
    return Line(**{**data, **read})


def _tax(data: Mapping[str, Any]) -> Tax:
    return Tax(data["name"], Decimal(data["rate"]))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
