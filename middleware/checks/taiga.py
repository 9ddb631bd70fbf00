"""Looks at Taiga: credentials, every mapped project, and the attributes of its tasks."""

from collections.abc import AsyncIterator, Sequence

from handlers.errors import NotFound, Refused, Rejected, RemoteError
from mappings.config import MappingFile, ProjectMapping
from mappings.models import AttributeDefinition
from middleware.checks.findings import Finding, finding_of
from middleware.clients.taiga import Taiga


async def check_taiga(taiga: Taiga, mapping: MappingFile | None) -> AsyncIterator[Finding]:
    """Every finding about Taiga; stops after the first when it does not answer."""

    async def sign_in() -> str:
        return f"answers, we are user {await taiga.user_id()}"

    hint = "correct TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD"
    first = await finding_of("taiga", sign_in, {Refused: hint, Rejected: hint})
    yield first
    if first.level != "ok":
        return
    for number, project in enumerate(mapping.project_mappings if mapping else ()):
        for finding in await _check_project(taiga, mapping, number, project):
            yield finding


async def _check_project(
    taiga: Taiga, mapping: MappingFile | None, number: int, mapped: ProjectMapping
) -> list[Finding]:
    where = f"project_mappings[{number}] taiga"
    project_id = mapped.taiga_project_id
    try:
        project = await taiga.project(project_id)
        definitions = await taiga.attribute_definitions("task", project_id)
    except NotFound:
        hint = "correct taiga_project_id, or add our Taiga user to the project"
        return [Finding(where, "failed", f"Taiga shows us no project {project_id}", hint)]
    except RemoteError as error:
        hint = "add our Taiga user to the project, with the right to change tasks"
        return [Finding(where, "failed", str(error), hint)]
    findings = [Finding(where, "ok", f"project {project.name} is visible")]
    if mapping is not None:
        findings += attribute_findings(where, mapping, project_id, definitions)
    return findings


def attribute_findings(
    where: str, mapping: MappingFile, project_id: int, definitions: Sequence[AttributeDefinition]
) -> list[Finding]:
    """Which task attributes a project lacks; without the first two nothing can be billed."""
    names = mapping.rules_for(project_id).attributes
    present = {definition.name for definition in definitions}
    findings = []
    for name, needed in (
        (names.billable, True),
        (names.hours, True),
        (names.hourly_rate, False),
        (names.client, False),
        (names.invoice_status, False),
    ):
        if name not in present:
            hint = f'add the task attribute "{name}" in Taiga (project settings, attributes, custom fields)'
            message = f'has no task attribute "{name}"'
            findings.append(Finding(where, "failed" if needed else "warning", message, hint))
    return findings
