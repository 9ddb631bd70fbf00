"""`taiga-billing check`: is everything set up right, and if not, what to do."""

import click
from rich.console import Console

from mappings.config import MappingFile, mapping_schema
from middleware.bootstrap import open_taiga
from middleware.checks import Finding
from middleware.checks.local import check_database, check_keys, check_mapping, check_queue
from middleware.checks.ninja import check_invoice_ninja
from middleware.checks.taiga import check_taiga
from middleware.clients.connect import connect_invoice_ninja
from middleware.commands.common import json_option, print_json, run, servers_behind, settings_or_exit
from middleware.settings import Settings, SettingsError

MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failed": "[red]failed [/]"}


@click.command("check")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of mappings.json and nothing else.")
@json_option
def command(*, schema: bool, as_json: bool) -> None:
    """Check settings, mapping file, PostgreSQL, Redis, Invoice Ninja and Taiga. Exit code 1 when something failed."""
    if schema:
        print_json(mapping_schema())
        return
    with servers_behind(settings_or_exit()) as settings:
        findings = run(look_at_everything(settings))
    failed = any(finding.level == "failed" for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": findings})
    else:
        print_findings(findings)
    if failed:
        raise click.exceptions.Exit(1)


def print_findings(findings: list[Finding]) -> None:
    """One line a finding, the hint below what is not right."""
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(f"{MARKS[finding.level]} {finding.name}: ", end="")
        console.print(finding.message, markup=False)
        if finding.hint and finding.level != "ok":
            console.print(f"        -> {finding.hint}", markup=False)


async def look_at_everything(settings: Settings) -> list[Finding]:
    """All findings, in the order in which a person would repair them."""
    sources = ", ".join(settings.enabled_sources)
    mapping_findings, mapping = check_mapping(settings.mappings_file)
    return [
        Finding("settings", "ok", f"webhooks of {sources} are received"),
        *mapping_findings,
        await check_database(settings),
        *await check_keys(settings),
        await check_queue(settings),
        *await _look_at_invoice_ninja(settings, mapping),
        *await _look_at_taiga(settings, mapping),
    ]


async def _look_at_invoice_ninja(settings: Settings, mapping: MappingFile | None) -> list[Finding]:
    if not settings.invoice_ninja_api:
        hint = "set INVOICE_NINJA_API (ends in /api/v1) and INVOICE_NINJA_TOKEN"
        return [Finding("invoice ninja", "failed", "INVOICE_NINJA_API is not set", hint)]
    try:
        ninja = connect_invoice_ninja(settings.invoice_ninja_api, settings.invoice_ninja_token.get_secret_value())
    except ValueError as error:
        return [Finding("invoice ninja", "failed", str(error), "correct the setting")]
    try:
        return [finding async for finding in check_invoice_ninja(ninja, mapping)]
    finally:
        await ninja.aclose()


async def _look_at_taiga(settings: Settings, mapping: MappingFile | None) -> list[Finding]:
    try:
        async with open_taiga(settings) as taiga:
            if taiga is not None:
                return [finding async for finding in check_taiga(taiga, mapping)]
    except SettingsError as error:
        return [Finding("taiga", "failed", "; ".join(error.problems), "correct the setting")]
    hint = "set TAIGA_API and TAIGA_TOKEN (or TAIGA_USERNAME and TAIGA_PASSWORD) to have tasks re-read"
    return [Finding("taiga", "warning", "no credentials: webhooks are believed, nothing is written back", hint)]
