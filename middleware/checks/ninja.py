"""Looks at Invoice Ninja: token, the settings that matter, and every mapped client and project."""

from collections.abc import AsyncIterator

from handlers.errors import NotFound, Refused, RemoteError
from mappings.config import MappingFile
from mappings.ninja import Company
from middleware.checks.findings import Finding, finding_of
from middleware.clients.invoiceninja import InvoiceNinja

WRONG_TOKEN = "set INVOICE_NINJA_TOKEN to an API token of an administrator (Settings, Account Management, API Tokens)"  # noqa: S105 - a hint


async def check_invoice_ninja(ninja: InvoiceNinja, mapping: MappingFile | None) -> AsyncIterator[Finding]:
    """Every finding about Invoice Ninja; stops after the first when it does not answer."""

    async def ping() -> str:
        account = await ninja.ping()
        return f"answers as {account.user_name} of {account.company_name}"

    first = await finding_of("invoice ninja", ping, {Refused: WRONG_TOKEN})
    yield first
    if first.level != "ok":
        return
    try:
        for finding in company_findings(await ninja.company()):
            yield finding
    except RemoteError as error:
        yield Finding("invoice ninja settings", "warning", f"could not be read: {error}", WRONG_TOKEN)
    for number, project in enumerate(mapping.project_mappings if mapping else ()):
        where = f"project_mappings[{number}]"
        yield await _check_client(ninja, where, project.invoiceninja_client_id)
        if project.invoiceninja_project_id:
            client_id = project.invoiceninja_client_id
            yield await _check_project(ninja, where, project.invoiceninja_project_id, client_id)


def company_findings(company: Company) -> list[Finding]:
    """Settings of the company under which entries or invoices would end up otherwise than we send them."""
    findings = []
    if company.round_to_nearest > 1:
        findings.append(
            Finding(
                "invoice ninja settings",
                "warning",
                f"rounds task times to {company.round_to_nearest} s itself: hours would be rounded twice",
                "turn task rounding off in Invoice Ninja (Settings, Task Settings); mappings.json rounds",
            )
        )
    if company.locks_invoiced_tasks:
        message = "invoiced tasks are locked: corrections become entries of their own (as they do anyway)"
        findings.append(Finding("invoice ninja settings", "ok", message))
    return findings


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


async def _check_project(ninja: InvoiceNinja, where: str, project_id: str, client_ref: str) -> Finding:
    hint = "set invoiceninja_project_id to a project of this client, or leave it out"
    try:
        project = await ninja.project(project_id)
        client_id = await ninja.find_client(client_ref)
    except NotFound:
        return Finding(f"{where} project", "failed", f"Invoice Ninja has no project {project_id}", hint)
    except RemoteError as error:
        return Finding(f"{where} project", "failed", str(error), "try again")
    if project.is_deleted or (client_id is not None and project.client_id != client_id):
        problem = "is deleted" if project.is_deleted else f"belongs to client {project.client_id}"
        return Finding(f"{where} project", "failed", f"project {project_id} {problem}", hint)
    return Finding(f"{where} project", "ok", f"project {project.name} exists")
