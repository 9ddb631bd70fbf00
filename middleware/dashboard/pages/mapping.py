"""What is mapped to what, the rules as they apply, and what is wrong."""

import asyncio
from dataclasses import dataclass

from starlette.responses import Response

from mappings.config.file import MappingFile, ProjectRules
from middleware.clients.invoiceninja.web_pages import NinjaPages
from middleware.dashboard.names import Names, read_mapping
from middleware.dashboard.visit import Visit
from middleware.store.billing.mirror import BookStore
from middleware.store.events.events import EventRow
from middleware.store.events.search import EventFilter, EventSearch

DEAD_SHOWN = 50
ABOUT_MAPPING = ("mappings.json", "project mapping", "no client", "attribute")


@dataclass(frozen=True, slots=True)
class MappedProject:
    """One project of the file with its effective rules; `rows` are (rule, value, is it set for this project)."""

    name: str
    rules: ProjectRules
    rows: tuple[tuple[str, str, bool], ...]


async def show(visit: Visit) -> Response:
    """The mapping file as it is now."""
    settings = visit.services.settings
    read = await asyncio.to_thread(read_mapping, settings.mappings_file)
    dead = await EventSearch(visit.services.pool).page(EventFilter(status="dead"), limit=DEAD_SHOWN)
    return visit.page(
        "mapping.html",
        file=settings.mappings_file.name,
        problems=read.problems,
        projects=[mapped_project(read.mapping, project.taiga_project_id) for project in read.mapping.project_mappings],
        general=rule_rows(read.mapping.rules_for(0)),
        user_rates=sorted(read.mapping.user_rates.items()),
        complaints=[event for event in dead.rows if is_about_mapping(event)],
        clients=await BookStore(visit.services.pool).client_names(),
        ninja=NinjaPages(settings.invoice_ninja_api),
    )


def mapped_project(mapping: MappingFile, taiga_project_id: int) -> MappedProject:
    """The effective rules of a project beside the general ones."""
    rules, general = mapping.rules_for(taiga_project_id), dict(rule_rows(mapping.rules_for(0)))
    rows = tuple((name, value, general[name] != value) for name, value in rule_rows(rules))
    return MappedProject(Names(mapping).taiga_project(taiga_project_id), rules, rows)


def rule_rows(rules: ProjectRules) -> list[tuple[str, str]]:
    """Every rule with its value in words."""
    values = {
        **{name: getattr(rules.rules, name) for name in type(rules.rules).model_fields},
        "default_hourly_rate": rules.project_rate or rules.rules.default_hourly_rate,
        **{f"attribute: {name}": getattr(rules.attributes, name) for name in type(rules.attributes).model_fields},
        **{f"status: {name}": getattr(rules.statuses, name) for name in type(rules.statuses).model_fields},
    }
    return [(name.replace("_", " "), in_words(value)) for name, value in values.items()]


def in_words(value: object) -> str:
    """A value of the mapping file as a person reads it."""
    if value is None or value in {"", ()}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(in_words(item) for item in value)
    if hasattr(value, "model_fields_set"):
        return " ".join(in_words(item) for _, item in value)  # type: ignore[attr-defined]  # a part of the file
    return str(value).replace("_", " ") if isinstance(value, str) else str(value)


def is_about_mapping(event: EventRow) -> bool:
    """Whether a dead event complains about the mapping file or the attributes in Taiga."""
    return any(word in f"{event.reason} {event.hint}" for word in ABOUT_MAPPING)
