"""Which rules of mappings.json an invoice and its lines follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mappings.config.file import MappingFile, ProjectMapping
from mappings.config.references import ClientIndex
from mappings.config.rules import BillingRules
from mappings.invoiceninja.models import NinjaClient

_RULES = frozenset(BillingRules.model_fields)


@dataclass(frozen=True, slots=True)
class _Mapped:
    """One mapped project with its effective rules."""

    mapping: ProjectMapping
    rules: BillingRules


@dataclass(frozen=True)
class Scopes:
    """The effective rules by client, Taiga project and Invoice Ninja project.

    The rules of a client are those of `client_rules` over `billing_rules`; where all its mapped projects agree on
    something else, that counts. So the rules of a client's only project are the client's.
    """

    general: BillingRules
    client_rules: Mapping[str, BillingRules] = field(default_factory=dict)
    by_taiga_project: Mapping[int, _Mapped] = field(default_factory=dict)
    by_ninja_project: Mapping[str, _Mapped] = field(default_factory=dict)
    client_of_taiga_project: Mapping[int, str] = field(default_factory=dict)

    def is_mapped(self, client_id: str) -> bool:
        """Whether mappings.json names the client."""
        return client_id in self.client_rules

    def client(self, client_id: str) -> BillingRules:
        """The rules for the invoices of a client, mapped or not."""
        return self.client_rules.get(client_id, self.general)

    def project(self, taiga_project_id: int | None, ninja_project_id: str, client_id: str) -> BillingRules:
        """The rules for one entry: of its project when that is mapped to this client, else of the client."""
        known = self.by_taiga_project.get(taiga_project_id or 0)
        if known is None or self.client_of_taiga_project.get(taiga_project_id or 0) != client_id:
            known = self.by_ninja_project.get(ninja_project_id)
        return known.rules if known is not None else self.client(client_id)

    def project_name(self, taiga_project_id: int | None) -> str:
        """The name that mappings.json gives a Taiga project; "" when none."""
        known = self.by_taiga_project.get(taiga_project_id or 0)
        return known.mapping.taiga_project_name if known else ""


def scopes_of(mapping: MappingFile, clients: Mapping[str, NinjaClient]) -> Scopes:
    """Resolve the clients that mappings.json names by id, number or id number, and merge the rules."""
    index = ClientIndex(clients)
    resolve = index.resolve
    own = {
        client_id: override(mapping.billing_rules, rules)
        for reference, rules in mapping.client_rules.items()
        if (client_id := resolve(reference))
    }
    by_taiga: dict[int, _Mapped] = {}
    by_ninja: dict[str, _Mapped] = {}
    client_of: dict[int, str] = {}
    of_client: dict[str, list[BillingRules]] = {}
    for project in mapping.project_mappings:
        client_id = resolve(project.invoiceninja_client_id)
        known = _Mapped(project, override(own.get(client_id, mapping.billing_rules), project))
        by_taiga[project.taiga_project_id] = known
        if project.invoiceninja_project_id:
            by_ninja.setdefault(project.invoiceninja_project_id, known)
        if client_id:
            client_of[project.taiga_project_id] = client_id
            of_client.setdefault(client_id, []).append(known.rules)
    agreed = {client_id: _agreed(own.get(client_id, mapping.billing_rules), of) for client_id, of in of_client.items()}
    return Scopes(mapping.billing_rules, {**own, **agreed}, by_taiga, by_ninja, client_of)


def override(base: BillingRules, over: BillingRules) -> BillingRules:
    """`base` with the rules that are written in `over`."""
    written = over.model_fields_set & _RULES
    values = {name: getattr(base, name) for name in _RULES} | {name: getattr(over, name) for name in written}
    return BillingRules.model_construct(**values)


def _agreed(client: BillingRules, projects: Sequence[BillingRules]) -> BillingRules:
    values = {}
    for name in _RULES:
        first, *others = (getattr(rules, name) for rules in projects)
        values[name] = first if all(other == first for other in others) else getattr(client, name)
    return BillingRules.model_construct(**values)
