"""Looks at Taiga: credentials, every mapped project, the attributes of its tasks, and its webhooks."""

from collections.abc import AsyncIterator, Sequence

from handlers.errors import NotFound, Refused, Rejected, RemoteError
from mappings.config.file import MappingFile, ProjectMapping
from mappings.config.references import user_problems
from mappings.config.rules import AttributeNames
from mappings.taiga.models import AttributeDefinition, WorkKind
from middleware.checks.findings import Finding, Level, finding_of
from middleware.checks.taiga_webhooks import Expected, check_webhooks
from middleware.clients.taiga import Taiga

TYPES = {
    "billable": ("checkbox",),
    "hours": ("number", "text"),
    "hourly_rate": ("number", "text"),
    "client": ("text", "dropdown"),
    "invoice_status": ("dropdown", "text"),
}
"""The types in Taiga with which each attribute works; the first is the one that setup makes."""

NEEDED = ("billable", "hours")
"""Without these nothing can be billed."""


async def check_taiga(taiga: Taiga, mapping: MappingFile | None, expected: Expected) -> AsyncIterator[Finding]:
    """Every finding about Taiga; stops after the first when it does not answer."""

    async def sign_in() -> str:
        return f"answers, we are user {await taiga.user_id()}"

    hint = "correct TAIGA_TOKEN, or TAIGA_USERNAME and TAIGA_PASSWORD"
    first = await finding_of("taiga", sign_in, {Refused: hint, Rejected: hint})
    yield first
    if first.level != "ok" or mapping is None:
        return
    members: dict[int, list[str]] = {}
    for number, project in enumerate(mapping.project_mappings):
        for finding in await _check_project(taiga, mapping, number, project, expected=expected, members=members):
            yield finding
    for problem in user_problems(mapping, members):
        yield Finding(f"mapping file {problem.path}", "failed", problem.message, problem.hint)


async def _check_project(
    taiga: Taiga,
    mapping: MappingFile,
    number: int,
    mapped: ProjectMapping,
    *,
    expected: Expected,
    members: dict[int, list[str]],
) -> list[Finding]:
    where = f"project_mappings[{number}] taiga"
    project_id = mapped.taiga_project_id
    try:
        project = await taiga.project(project_id)
    except NotFound:
        hint = "correct taiga_project_id, or add our Taiga user to the project"
        return [Finding(where, "failed", f"Taiga shows us no project {project_id}", hint)]
    except RemoteError as error:
        hint = "add our Taiga user to the project, with the right to change tasks"
        return [Finding(where, "failed", str(error), hint)]
    members[project_id] = [member.username for member in project.members]
    rights = " as administrator" if project.i_am_admin else ""
    rules = mapping.rules_for(project_id)
    return [
        Finding(where, "ok", f"project {project.name} is visible{rights}"),
        *(
            finding
            for kind in rules.rules.billable_types
            for finding in attribute_findings(where, rules.attributes, project.attributes.get(kind, ()), kind)
        ),
        *await check_webhooks(taiga, where, project, expected),
    ]


def attribute_findings(
    where: str, names: AttributeNames, definitions: Sequence[AttributeDefinition], kind: WorkKind = "task"
) -> list[Finding]:
    """Which attributes of a kind of work a project lacks, or has with a type that cannot hold their values."""
    present = {definition.name: definition.type for definition in definitions}
    findings = []
    for field, types in TYPES.items():
        name: str = getattr(names, field)
        level: Level = "failed" if field in NEEDED else "warning"
        if name not in present:
            near = [other for other in present if other.casefold().strip() == name.casefold().strip()]
            other = f' (there is "{near[0]}": capitals and blanks count)' if near else ""
            hint = f'run taiga-billing setup, or add the {kind} attribute "{name}" of type {types[0]} in Taiga'
            findings.append(Finding(where, level, f'has no {kind} attribute "{name}"{other}', hint))
        elif present[name] not in types:
            message = f'{kind} attribute "{name}" is of type {present[name]}, needed is {" or ".join(types)}'
            hint = f"change its type in Taiga, or rename it there and add a new one of type {types[0]}"
            findings.append(Finding(where, level, message, hint))
    return findings
