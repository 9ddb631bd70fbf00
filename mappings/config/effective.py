"""The rules as they apply to each project, and how two files differ in them. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from mappings.config.file import MappingFile, ProjectRules


def effective_rules(rules: ProjectRules) -> dict[str, Any]:
    """Everything that applies to one project, flat: `rounding`, `user_rates.ada`, `attributes.hours`, ..."""
    own: dict[str, Any] = {
        "invoiceninja_client_id": rules.client_id,
        "invoiceninja_project_id": rules.project_id or None,
        "project_hourly_rate": rules.project_rate,
    }
    parts = {
        "": rules.rules.model_dump(),
        "user_rates": dict(sorted(rules.user_rates.items())),
        "attributes": rules.attributes.model_dump(),
        "invoice_status_values": rules.statuses.model_dump(),
    }
    for prefix, part in parts.items():
        own |= {f"{prefix}.{name}".removeprefix("."): value for name, value in part.items()}
    return own


def differences(old: MappingFile, new: MappingFile) -> list[str]:
    """What changes from one file to the other, a line each, project by project."""
    before, after = _projects(old), _projects(new)
    lines = []
    for project_id in sorted({*before, *after}):
        name = project_label(new if project_id in after else old, project_id)
        if project_id not in before:
            lines.append(f"{name}: mapped to client {after[project_id].client_id}")
        elif project_id not in after:
            lines.append(f"{name}: no longer mapped")
        else:
            changed = _changed(effective_rules(before[project_id]), effective_rules(after[project_id]))
            lines += [f"{name}: {line}" for line in changed]
    # What is not of any project: other clients, and the rules of unmapped projects.
    general = _changed(old.billing_rules.model_dump(), new.billing_rules.model_dump())
    return lines + [f"billing_rules: {line}" for line in general]


def project_label(mapping: MappingFile, project_id: int) -> str:
    """A project as people read it: `project 3 (Website)`."""
    names = (one.taiga_project_name for one in mapping.project_mappings if one.taiga_project_id == project_id)
    name = next(names, "")
    return f"project {project_id} ({name})" if name else f"project {project_id}"


def shown_value(value: Any) -> str:
    """A rule's value as the file writes it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict):
        return " ".join(f"{name} {shown_value(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shown_value(one) for one in value) or "none"
    return str(value)


def _projects(mapping: MappingFile) -> Mapping[int, ProjectRules]:
    ids = [one.taiga_project_id for one in mapping.project_mappings]
    return {project_id: mapping.rules_for(project_id) for project_id in ids}


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys([*before, *after]):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield f"{name} {shown_value(old)} -> {shown_value(new)}"
