"""mappings.json as typed, frozen records: which project is billed to which client, by which rules.

The text is read by `parse_mapping`; every other module only sees the effective rules of one project (`ProjectRules`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, TypeVar

from pydantic import Field, StrictStr

from mappings.config.parser import read_json, validate
from mappings.config.rules import AttributeNames, BillingRules, InvoiceStatusValues
from mappings.config.types import Identifier, Name, Part, Rate, TaigaId

_Part = TypeVar("_Part", bound=Part)

UserRates = dict[Name, Rate]


class ClientRules(BillingRules):
    """What is different for one client; only the keys that are written count."""


class ProjectMapping(BillingRules):
    """One Taiga project and where its hours go; every rule may be overridden, only the keys that are written count."""

    taiga_project_id: TaigaId
    taiga_project_name: Annotated[StrictStr, Field(max_length=500)] = ""
    invoiceninja_client_id: Identifier
    invoiceninja_project_id: Identifier | None = None
    user_rates: UserRates = Field(default_factory=dict)
    attributes: AttributeNames = AttributeNames()
    invoice_status_values: InvoiceStatusValues = InvoiceStatusValues()


class DeclinedProject(Part):
    """A Taiga project that a person left out in `setup`; only `setup` reads it."""

    taiga_project_id: TaigaId
    taiga_project_name: Annotated[StrictStr, Field(max_length=500)] = ""


@dataclass(frozen=True, slots=True)
class ProjectRules:
    """The effective rules of one Taiga project, everything merged: project over client over billing_rules.

    `client_id` and `project_id` are Invoice Ninja's ("" for no project). `project_rate` is the project's own default
    rate; `rules.default_hourly_rate` is the next wider one. `is_mapped` is False for a project that mappings.json does
    not name: then there is no client, and the general rules stand here. `has_client_rate`: the next wider rate is of
    client_rules.
    """

    taiga_project_id: int
    client_id: str
    project_id: str
    project_rate: Decimal | None
    user_rates: Mapping[str, Decimal]
    rules: BillingRules
    attributes: AttributeNames
    statuses: InvoiceStatusValues
    is_mapped: bool = True
    has_client_rate: bool = False


class MappingFile(Part):
    """The whole of mappings.json."""

    schema_address: Annotated[StrictStr | None, Field(alias="$schema", description="for editors; not read")] = None
    project_mappings: tuple[ProjectMapping, ...] = ()
    declined_projects: tuple[DeclinedProject, ...] = ()
    user_rates: UserRates = Field(default_factory=dict)
    client_rules: dict[Identifier, ClientRules] = Field(default_factory=dict)
    billing_rules: BillingRules = BillingRules()
    attributes: AttributeNames = AttributeNames()
    invoice_status_values: InvoiceStatusValues = InvoiceStatusValues()

    def project(self, taiga_project_id: int) -> ProjectRules | None:
        """The effective rules of a mapped project; None when mappings.json does not name it."""
        return self._projects.get(taiga_project_id)

    def rules_for(self, taiga_project_id: int) -> ProjectRules:
        """The effective rules of any project: for one that is not mapped the general rules, `is_mapped` False."""
        return self.project(taiga_project_id) or ProjectRules(
            taiga_project_id=taiga_project_id,
            client_id="",
            project_id="",
            project_rate=None,
            user_rates=self.user_rates,
            rules=self.billing_rules,
            attributes=self.attributes,
            statuses=self.invoice_status_values,
            is_mapped=False,
        )

    def client(self, client_id: str) -> BillingRules:
        """The effective rules of an Invoice Ninja client, mapped or not."""
        return _override(self.billing_rules, self.client_rules.get(client_id))

    @cached_property
    def _projects(self) -> Mapping[int, ProjectRules]:
        return {mapping.taiga_project_id: self._merged(mapping) for mapping in self.project_mappings}

    def _merged(self, mapping: ProjectMapping) -> ProjectRules:
        client_rules = self.client(mapping.invoiceninja_client_id)
        return ProjectRules(
            taiga_project_id=mapping.taiga_project_id,
            client_id=mapping.invoiceninja_client_id,
            project_id=mapping.invoiceninja_project_id or "",
            project_rate=mapping.default_hourly_rate,
            user_rates={**self.user_rates, **mapping.user_rates},
            rules=_override(client_rules, mapping, without=["default_hourly_rate"]),
            attributes=_override(self.attributes, mapping.attributes),
            statuses=_override(self.invoice_status_values, mapping.invoice_status_values),
            has_client_rate=self._has_client_rate(mapping.invoiceninja_client_id),
        )

    def _has_client_rate(self, client_id: str) -> bool:
        rules = self.client_rules.get(client_id)
        return rules is not None and "default_hourly_rate" in rules.model_fields_set


def _override(base: _Part, over: Part | None, without: Iterable[str] = ()) -> _Part:
    """`base` with the values that were written in `over`."""
    if over is None:
        return base
    names = over.model_fields_set & type(base).model_fields.keys() - set(without)
    return base.model_copy(update={name: getattr(over, name) for name in names})


def parse_mapping(text: str) -> MappingFile:
    """Read the text of mappings.json; a byte order mark is accepted, numbers are read as Decimal.

    Raises:
        MappingErrors: every mistake at once, each with its path and a hint.
    """
    return validate(MappingFile, read_json(text))


def mapping_schema() -> dict[str, Any]:
    """The JSON Schema of mappings.json, for editors and `taiga-billing check --schema`."""
    schema = MappingFile.model_json_schema(by_alias=True)
    for overriding in ("ClientRules", "ProjectMapping"):
        for name in BillingRules.model_fields:
            # What is not written is inherited: a default shown here would be wrong.
            schema["$defs"][overriding]["properties"][name].pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "mappings.json"}
