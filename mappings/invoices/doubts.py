"""Clients whose rules are in doubt, because mappings.json names a client that Invoice Ninja does not have. Pure.

Billed by the general rules, such a client might get an invoice without its taxes, discount or payment terms.
"""

from collections.abc import Iterator, Mapping

from mappings.config.file import MappingFile, ProjectMapping
from mappings.config.references import ClientIndex, client_problems
from mappings.config.rules import BillingRules, TimeRules
from mappings.invoices.models import PeriodWork

_RULES = BillingRules.model_fields.keys() - TimeRules.model_fields.keys()

REPAIR = "correct the name in mappings.json (taiga-billing check names it), or remove it there"


def doubtful_clients(work: PeriodWork, mapping: MappingFile) -> Mapping[str, str]:
    """Why the rules of a client are in doubt, by client id; no client where not all of them were read."""
    if not work.knows_all_clients:
        return {}
    index = ClientIndex(work.clients)
    has_rules = {index.resolve(reference) for reference in mapping.client_rules}
    found: dict[str, str] = {}
    for reference in mapping.client_rules:
        if not index.resolve(reference):
            why = f'client_rules of mappings.json name "{reference}", which is no client and may mean this one'
            found |= {client.id: why for client in index.similar(reference) if client.id not in has_rules}
    gone = {
        project.taiga_project_id: project.invoiceninja_client_id
        for project in mapping.project_mappings
        if not index.resolve(project.invoiceninja_client_id) and _has_rules(project, mapping)
    }
    for task in work.tasks:
        link = work.links.get(task.id)
        if link is not None and link.taiga_project_id in gone:
            name = f'project {link.taiga_project_id} is mapped to "{gone[link.taiga_project_id]}"'
            found.setdefault(task.client_id, f"{name}, which is no client, and its work is at this one")
    return found


def _has_rules(project: ProjectMapping, mapping: MappingFile) -> bool:
    """Whether rules for invoices are written for the project or for its client: without any, nothing is lost."""
    return project.invoiceninja_client_id in mapping.client_rules or not _RULES.isdisjoint(project.model_fields_set)


def reference_warnings(work: PeriodWork, mapping: MappingFile) -> Iterator[str]:
    """What names no client, in the words of a plan."""
    if work.knows_all_clients:
        for problem in client_problems(mapping, work.clients):
            yield f"mappings.json, {problem}"
