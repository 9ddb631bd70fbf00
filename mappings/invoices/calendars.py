"""All calendars that mappings.json asks for, without knowing the clients of Invoice Ninja."""

from mappings.config.file import MappingFile
from mappings.invoiceninja.models import NinjaClient
from mappings.invoices.period import Calendar, calendar_of
from mappings.invoices.scopes import Scopes, scopes_of


def calendars_of(mapping: MappingFile) -> list[Calendar]:
    """The calendars of the general rules and of every client that is named."""
    references = {project.invoiceninja_client_id for project in mapping.project_mappings} | set(mapping.client_rules)
    scopes = scopes_of(mapping, {reference: NinjaClient(reference, "", "") for reference in references})
    rules = [mapping.billing_rules, *(scopes.client(reference) for reference in references)]
    return sorted({calendar_of(one) for one in rules})


def calendar_name(client_id: str, scopes: Scopes, known: list[Calendar]) -> str:
    """The calendar whose runs bill this client.

    A client that is named in two ways (once by id, once by number) may have a calendar that nobody can know without
    Invoice Ninja: its runs are those of the general rules.
    """
    calendar = calendar_of(scopes.client(client_id))
    return calendar.name if calendar in known else calendar_of(scopes.general).name
