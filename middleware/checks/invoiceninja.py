"""Looks at Invoice Ninja: token, the settings that matter, and every mapped client and project."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from handlers.errors import Refused, RemoteError
from mappings.config.file import MappingFile
from mappings.config.rules import BillingRules
from mappings.invoiceninja.models import Company, Statics
from middleware.checks.findings import Finding, finding_of
from middleware.checks.invoiceninja_settings import check_settings
from middleware.clients.invoiceninja import InvoiceNinja

WRONG_TOKEN = "set INVOICE_NINJA_TOKEN to an API token of an administrator (Settings, Account Management, API Tokens)"  # noqa: S105 - a hint


async def check_invoice_ninja(
    ninja: InvoiceNinja, mapping: MappingFile | None, now: datetime
) -> AsyncIterator[Finding]:
    """Every finding about Invoice Ninja; stops after the first when it does not answer."""

    async def ping() -> str:
        account = await ninja.ping()
        return f"answers as {account.user_name} of {account.company_name}"

    first = await finding_of("invoice ninja", ping, {Refused: WRONG_TOKEN})
    yield first
    if first.level != "ok":
        return
    yield await _check_rights(ninja, now)
    try:
        company, tables = await ninja.company(), await ninja.statics()
        for finding in company_findings(company, tables, mapping.billing_rules if mapping else BillingRules()):
            yield finding
        async for finding in check_settings(ninja, company, mapping or MappingFile()):
            yield finding
    except RemoteError as error:
        yield Finding("invoice ninja settings", "warning", f"could not be read: {error}", WRONG_TOKEN)
    for number, project in enumerate(mapping.project_mappings if mapping else ()):
        yield await _check_client(ninja, f"project_mappings[{number}]", project.invoiceninja_client_id)


async def _check_rights(ninja: InvoiceNinja, now: datetime) -> Finding:
    name = "invoice ninja rights"
    try:
        is_admin = await ninja.is_admin(now)
    except RemoteError as error:
        return Finding(name, "warning", f"could not be read: {error}", WRONG_TOKEN)
    if not is_admin:
        message = "the token does not belong to an administrator: it does not see every record and cannot refund"
        return Finding(name, "failed", message, WRONG_TOKEN)
    return Finding(name, "ok", "the token belongs to an administrator")


def company_findings(company: Company, tables: Statics, rules: BillingRules) -> list[Finding]:
    """Settings of the company under which entries or invoices would end up otherwise than we send them."""
    return [
        *_time_findings(company),
        *_invoice_findings(company, rules),
        *_place_findings(company, tables, rules),
    ]


def _time_findings(company: Company) -> Iterator[Finding]:
    if company.locks_invoiced_tasks:
        message = "invoiced tasks are locked: corrections become entries of their own (as they do anyway)"
        yield Finding("invoice ninja invoice_task_lock", "ok", message)


def _invoice_findings(company: Company, rules: BillingRules) -> Iterator[Finding]:
    if company.lock_invoices != "off":
        message = (
            f'lock_invoices is "{company.lock_invoices}": locked invoices take no payment link and no new due date'
        )
        hint = "turn it off in Invoice Ninja (Settings, Workflow Settings), or enter these yourself"
        yield Finding("invoice ninja lock_invoices", "warning", message, hint)
    if company.updates_products and rules.product_key:
        message = f'update_products is on, and product_key is "{rules.product_key}": prices of that product may change'
        hint = "turn off auto-update products in Invoice Ninja (Settings, Product Settings), or remove product_key"
        yield Finding("invoice ninja update_products", "warning", message, hint)


def _place_findings(company: Company, tables: Statics, rules: BillingRules) -> Iterator[Finding]:
    zone = tables.timezones.get(company.timezone_id, "")
    if zone and zone != rules.timezone:
        message = (
            f'its time zone is {zone}, billing_rules.timezone is {rules.timezone}: "today" may be another day there'
        )
        hint = "set both to the zone in which you do business (Invoice Ninja: Settings, Localization)"
        yield Finding("invoice ninja time zone", "warning", message, hint)
    currency = tables.currencies.get(company.currency_id)
    code = currency.code if currency else "unknown"
    if rules.currency is not None and rules.currency != code:
        message = f"its currency is {code}, billing_rules.currency is {rules.currency}"
        hint = "clients without a currency of their own are billed in that of the company: correct one of the two"
        yield Finding("invoice ninja currency", "warning", message, hint)
    else:
        yield Finding("invoice ninja currency", "ok", f"bills in {code} where a client has no currency of its own")


async def _check_client(ninja: InvoiceNinja, where: str, reference: str) -> Finding:
    try:
        match = await ninja.match_client(reference)
    except RemoteError as error:
        return Finding(f"{where} client", "failed", str(error), "try again")
    if not match.client_id:
        return Finding(
            f"{where} client",
            "failed",
            f'Invoice Ninja has no client "{reference}": {match.reason}',
            "set invoiceninja_client_id to the id, number or id number of an active client",
        )
    return Finding(f"{where} client", "ok", f"client {reference} exists")
