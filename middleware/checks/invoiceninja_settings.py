"""Settings of Invoice Ninja that make other hours or sums than mappings.json: of the company and of each client."""

from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

from mappings.config.file import MappingFile
from mappings.config.references import client_problems, project_problems
from mappings.invoiceninja.models import Company, NinjaClient
from mappings.invoiceninja.settings import effective_settings
from mappings.invoices.scopes import scopes_of
from mappings.invoices.settings_warnings import client_warnings
from middleware.checks.findings import Finding
from middleware.clients.invoiceninja import InvoiceNinja

_HINT = "correct the setting in Invoice Ninja (Settings; or the client's or its group's own settings), or mappings.json"


async def check_settings(ninja: InvoiceNinja, company: Company, mapping: MappingFile) -> AsyncIterator[Finding]:
    """Names that are no client's; what settings change: the company's the general rules, those of clients beyond that.

    Raises:
        RemoteError: Invoice Ninja failed.
    """
    clients, projects = await ninja.client_list(), await ninja.project_list()
    by_id = {client.id: client for client in clients}
    for problem in (*client_problems(mapping, by_id), *project_problems(mapping, by_id, projects)):
        yield Finding(f"mapping file {problem.path}", "failed", problem.message, problem.hint)
    groups = await ninja.client_groups() if any(client.group_id for client in clients) else {}
    for finding in settings_findings(company, clients, groups, mapping):
        yield finding


def settings_findings(
    company: Company, clients: Collection[NinjaClient], groups: Mapping[str, Mapping[str, Any]], mapping: MappingFile
) -> Iterator[Finding]:
    """A warning for each; what already holds for the company is not said of a client again."""
    general = list(client_warnings(mapping.billing_rules, effective_settings(None, company, {})))
    yield from (_warning("invoice ninja settings", sentence) for sentence in general)
    scopes = scopes_of(mapping, {client.id: client for client in clients})
    for client in clients:
        if scopes.is_mapped(client.id):
            own = client_warnings(scopes.client(client.id), effective_settings(client, company, groups))
            name = f"invoice ninja settings of {client.name}"
            yield from (_warning(name, sentence) for sentence in own if sentence not in general)


def _warning(name: str, sentence: str) -> Finding:
    return Finding(name, "warning", sentence, _HINT)
