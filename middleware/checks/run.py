"""All looks together, in the order in which a person would repair what they find."""

from datetime import UTC, datetime
from pathlib import Path

from mappings.config.file import MappingFile
from middleware.bootstrap import taiga_credentials
from middleware.checks.clock import check_clock
from middleware.checks.database import check_database
from middleware.checks.findings import Finding
from middleware.checks.invoiceninja import check_invoice_ninja
from middleware.checks.local import check_keys, check_mapping, check_queue
from middleware.checks.machine import check_disk, check_names, check_secrets_file, check_settings
from middleware.checks.stripe import ExpectedEndpoint, check_stripe
from middleware.checks.taiga import check_taiga
from middleware.checks.taiga_webhooks import Expected
from middleware.clients.connect import connect_invoice_ninja, connect_taiga
from middleware.clients.stripe.client import connect_stripe
from middleware.settings import Settings

ENV_FILE = Path(".env")


async def look_at_everything(settings: Settings) -> list[Finding]:
    """All findings; what cannot be reached is a finding, too."""
    mapping_findings, mapping = check_mapping(settings.mappings_file)
    return [
        *check_settings(settings),
        *check_secrets_file(ENV_FILE),
        *check_names(ENV_FILE),
        *mapping_findings,
        *await check_database(settings),
        *await check_keys(settings),
        await check_queue(settings),
        check_disk(settings.data_dir),
        *await _look_at_invoice_ninja(settings, mapping),
        *await _look_at_taiga(settings, mapping),
        *await _look_at_stripe(settings),
    ]


async def _look_at_invoice_ninja(settings: Settings, mapping: MappingFile | None) -> list[Finding]:
    if not settings.invoice_ninja_api:
        hint = "set INVOICE_NINJA_API (ends in /api/v1) and INVOICE_NINJA_TOKEN"
        return [Finding("invoice ninja", "failed", "INVOICE_NINJA_API is not set", hint)]
    token = settings.invoice_ninja_token.get_secret_value()
    try:
        ninja = connect_invoice_ninja(settings.invoice_ninja_api, token)
    except ValueError as error:
        return [Finding("invoice ninja", "failed", str(error), "correct the setting")]
    try:
        clock = ninja.watch_clock()
        findings = [finding async for finding in check_invoice_ninja(ninja, mapping, datetime.now(UTC))]
        return findings + check_clock("invoice ninja", clock.skew)
    finally:
        await ninja.aclose()


async def _look_at_taiga(settings: Settings, mapping: MappingFile | None) -> list[Finding]:
    if not settings.has_taiga_credentials:
        hint = "set TAIGA_API and TAIGA_USERNAME with TAIGA_PASSWORD (or TAIGA_TOKEN) so that tasks are read again"
        return [
            Finding(
                "taiga", "warning", "no credentials: webhooks are taken as they are, and nothing is written back", hint
            )
        ]
    try:
        taiga = connect_taiga(settings.taiga_api, taiga_credentials(settings))
    except ValueError as error:
        return [Finding("taiga", "failed", str(error), "correct the setting")]
    expected = Expected(settings.public_url, settings.webhook_secrets("taiga"))
    try:
        clock = taiga.watch_clock()
        findings = [finding async for finding in check_taiga(taiga, mapping, expected)]
        return findings + check_clock("taiga", clock.skew)
    finally:
        await taiga.aclose()


async def _look_at_stripe(settings: Settings) -> list[Finding]:
    if "stripe" not in settings.enabled_sources:
        return []
    key = settings.stripe_api_key.get_secret_value()
    if not key:
        message = "no STRIPE_API_KEY: events are taken as they are; payments are not read again"
        return [
            Finding("stripe", "warning", message, "set STRIPE_API_KEY; a restricted key with read rights is enough")
        ]
    try:
        stripe = connect_stripe(settings.stripe_api_base, key)
    except ValueError as error:
        return [Finding("stripe", "failed", str(error), "correct the setting")]
    expected = ExpectedEndpoint(
        settings.public_url, settings.stripe_is_live, has_secret=bool(settings.stripe_webhook_secrets)
    )
    try:
        clock = stripe.watch_clock()
        findings = [finding async for finding in check_stripe(stripe, expected)]
        return findings + check_clock("stripe", clock.skew, settings.stripe_tolerance)
    finally:
        await stripe.aclose()
