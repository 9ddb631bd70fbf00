"""mappings.json: what is read from a right file."""

import json
import re
from decimal import Decimal
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from mappings.config.file import MappingFile, ProjectMapping, mapping_schema, parse_mapping
from mappings.config.rules import AttributeNames, BillingRules, InvoiceStatusValues
from mappings.config.types import Part

EXAMPLE = (Path(__file__).parents[4] / "mappings.example.json").read_text(encoding="utf-8")
DESIGN = """{
  "project_mappings": [
    {"taiga_project_id": 1, "taiga_project_name": "Website Redesign",
     "invoiceninja_client_id": "VolejRejNm", "invoiceninja_project_id": "Wpmbk5ezJn",
     "default_hourly_rate": 75.00}
  ],
  "user_rates": {"senior_dev": 95.00, "junior_dev": 50.00},
  "billing_rules": {"frequency": "monthly", "generation_day": 1, "min_billable_hours": 0.25, "rounding": "quarter_hour",
                    "auto_send": false, "payment_terms": "net30", "timezone": "Europe/Brussels"}
}"""


def mapping(**parts: object) -> MappingFile:
    """A mapping file with one project, and these parts beside it."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "acme"}
    return parse_mapping(json.dumps({"project_mappings": [project], **parts}))


def test_example_file_is_read() -> None:
    """The example that people copy is right, and its second project shows what an override does."""
    rules = parse_mapping(EXAMPLE).project(2)
    assert rules is not None
    assert (rules.rules.rounding, rules.rules.payment_terms) == ("half_hour", "net14")
    assert rules.user_rates == {"senior_dev": Decimal("110.00"), "junior_dev": Decimal("50.00")}


@pytest.mark.parametrize("text", [EXAMPLE, DESIGN, "{}"], ids=["example", "design", "empty"])
def test_schema_accepts_what_is_read(text: str) -> None:
    """The printed JSON Schema is a valid one and agrees that right files are right."""
    schema = mapping_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(text), schema)
    parse_mapping(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"x": 1}',
        '{"project_mappings": [{}]}',
        '{"billing_rules": {"generation_day": 32}}',
        '{"user_rates": {"a": "1"}}',
    ],
)
def test_schema_refuses_what_is_refused(text: str) -> None:
    """An editor that knows the schema marks the plain mistakes."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(text), mapping_schema())


DOCUMENT = (Path(__file__).parents[4] / "docs" / "mapping.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL))
def test_examples_of_the_document_are_read(text: str) -> None:
    """What docs/mapping.md shows can be copied."""
    assert parse_mapping(text).project_mappings


@pytest.mark.parametrize("part", [BillingRules, ProjectMapping, MappingFile, AttributeNames, InvoiceStatusValues])
def test_every_key_is_documented(part: type[Part]) -> None:
    """docs/mapping.md names every key of the file."""
    keys = [field.alias or name for name, field in part.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in DOCUMENT] == []


def test_schema_shows_no_default_where_rules_are_inherited() -> None:
    """A rule that a project does not write is inherited, so no default may be shown for it."""
    definitions = mapping_schema()["$defs"]
    assert definitions["BillingRules"]["properties"]["rounding"]["default"] == "none"
    assert "default" not in definitions["ProjectMapping"]["properties"]["rounding"]


def test_numbers_are_decimal() -> None:
    """Money is read exactly as it is written, never as a float."""
    rules = parse_mapping(DESIGN).project(1)
    assert rules is not None
    assert str(rules.project_rate) == "75.00"
    assert str(rules.user_rates["senior_dev"]) == "95.00"


def test_byte_order_mark_and_schema_address_are_accepted() -> None:
    """Files saved by Windows editors and files that name their schema are read."""
    assert parse_mapping('\ufeff{"$schema": "mappings.schema.json"}') == MappingFile.model_validate(
        {"$schema": "mappings.schema.json"}
    )


def test_defaults_change_nothing_people_did_not_ask_for() -> None:
    """Without settings hours are billed as typed, and nothing is sent or charged by itself."""
    rules = BillingRules()
    assert (rules.rounding, rules.rounding_mode, rules.min_billable_hours) == ("none", "up", Decimal(0))
    assert (rules.auto_send, rules.auto_bill, rules.approval, rules.email_receipt) == (False, False, "review", False)
    assert (rules.match_by_amount, rules.on_refund, rules.include, rules.group_by) == (
        "propose",
        "close",
        "all",
        "task",
    )
    assert rules.billable_types == ("task",)
    assert rules.write_back


def test_project_wins_over_client_and_client_over_general() -> None:
    """Each rule is taken from the narrowest place that writes it."""
    file = mapping(
        billing_rules={"payment_terms": "net30", "rounding": "hour", "group_by": "day"},
        client_rules={"acme": {"payment_terms": "eom", "rounding": "half_hour"}},
        project_mappings=[{"taiga_project_id": 1, "invoiceninja_client_id": "acme", "rounding": "none"}],
    )
    rules = file.rules_for(1).rules
    assert (rules.rounding, rules.payment_terms, rules.group_by) == ("none", "eom", "day")
    assert file.client("acme").rounding == "half_hour"
    assert file.client("other").payment_terms == "net30"


def test_written_default_overrides_too() -> None:
    """A project may go back to a default that the general rules changed."""
    file = mapping(
        billing_rules={"write_back": False},
        project_mappings=[{"taiga_project_id": 1, "invoiceninja_client_id": "acme", "write_back": True}],
    )
    assert file.rules_for(1).rules.write_back


def test_project_rate_is_kept_apart_from_wider_rates() -> None:
    """The project's own rate and the next wider one are both known, so that a message can name the source."""
    file = mapping(
        billing_rules={"default_hourly_rate": 60},
        client_rules={"acme": {"default_hourly_rate": 70}},
        project_mappings=[{"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 80}],
    )
    rules = file.rules_for(1)
    assert (rules.project_rate, rules.rules.default_hourly_rate) == (Decimal(80), Decimal(70))


def test_attribute_names_and_status_texts_may_differ_in_one_project() -> None:
    """Only the names that are written change."""
    file = mapping(
        attributes={"billable": "Abrechenbar"},
        invoice_status_values={"invoiced": "Abgerechnet"},
        project_mappings=[
            {
                "taiga_project_id": 1,
                "invoiceninja_client_id": "acme",
                "attributes": {"hours": "Stunden"},
                "invoice_status_values": {"pending": "Offen"},
            }
        ],
    )
    rules = file.rules_for(1)
    assert (rules.attributes.billable, rules.attributes.hours, rules.attributes.client) == (
        "Abrechenbar",
        "Stunden",
        "Client Invoice ID",
    )
    assert (rules.statuses.pending, rules.statuses.invoiced) == ("Offen", "Abgerechnet")


def test_unmapped_project_has_general_rules_and_no_client() -> None:
    """What mappings.json does not name is known not to be mapped."""
    file = mapping(attributes={"billable": "Abrechenbar"})
    assert file.project(99) is None
    rules = file.rules_for(99)
    assert (rules.is_mapped, rules.client_id, rules.attributes.billable) == (False, "", "Abrechenbar")
    assert file.rules_for(1).is_mapped


def test_records_are_frozen() -> None:
    """Nobody changes the rules while they are in use."""
    with pytest.raises(ValidationError, match="frozen"):
        setattr(BillingRules(), "rounding", "hour")  # noqa: B010 - a plain assignment is refused by mypy already
