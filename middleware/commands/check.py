"""`taiga-billing check`: is everything set up right, and if not, what to do."""

import time

import click
from rich.console import Console

from mappings.config.file import mapping_schema
from middleware.checks import Finding
from middleware.checks.run import look_at_everything
from middleware.commands.common import json_option, print_json, run, servers_behind, settings_or_exit

MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failed": "[red]failed [/]"}


@click.command("check")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of mappings.json and nothing else.")
@click.option("--watch", "seconds", type=click.FloatRange(min=1), help="Repeat every SECONDS until Ctrl-C.")
@json_option
def command(*, schema: bool, seconds: float | None, as_json: bool) -> None:
    """Check settings, mapping file, servers, Invoice Ninja, Taiga and Stripe. Exit code 1 when something failed."""
    if schema:
        print_json(mapping_schema())
        return
    while True:
        is_good = look_and_print(as_json=as_json, clear=seconds is not None)
        if seconds is None:
            break
        time.sleep(seconds)
    if not is_good:
        raise click.exceptions.Exit(1)


def look_and_print(*, as_json: bool, clear: bool = False) -> bool:
    """One look with fresh settings; returns whether nothing failed."""
    with servers_behind(settings_or_exit()) as settings:
        findings = run(look_at_everything(settings))
    failed = any(finding.level == "failed" for finding in findings)
    if clear and not as_json:
        click.clear()
    if as_json:
        print_json({"ok": not failed, "findings": findings})
    else:
        print_findings(findings)
    return not failed


def print_findings(findings: list[Finding]) -> None:
    """One line a finding, the hint below what is not right, and the sum."""
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(f"{MARKS[finding.level]} ", end="")
        console.print(f"{finding.name}: {finding.message}", markup=False)
        if finding.hint and finding.level != "ok":
            console.print(f"        -> {finding.hint}", markup=False)
    failed = sum(finding.level == "failed" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    console.print(
        f"{len(findings)} looked at: {failed} failed, {warnings} warning{'' if warnings == 1 else 's'}", markup=False
    )
