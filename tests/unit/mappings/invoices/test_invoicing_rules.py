"""Rules of mappings.json that only invoices look at."""

import json
from typing import Any

import pytest

from mappings.config.file import parse_mapping
from mappings.errors import MappingErrors
from mappings.invoiceninja.models import NinjaClient
from mappings.invoices.calendars import calendar_name, calendars_of
from mappings.invoices.scopes import scopes_of

ACME = NinjaClient("VolejRejNm", "acme", "Acme", id_number="BE1")


def test_a_field_for_two() -> None:
    """The payment link may not stand where the mark stands, whoever writes it where."""
    with pytest.raises(MappingErrors, match="holds the mark of the bridge"):
        parse_mapping('{"client_rules": {"a": {"payment_link_field": "custom_value4"}}}')
    moved = {"payment_link_field": "custom_value4", "invoice_mark_field": "custom_value3"}
    assert parse_mapping(json.dumps({"billing_rules": moved})).billing_rules.payment_link_field == "custom_value4"


@pytest.mark.parametrize(
    "rules",
    [
        {"biweekly_anchor": "6 January"},
        {"generation_hour": 24},
        {"currency": "euro"},
        {"invoice_mark_field": "po_number"},
    ],
)
def test_wrong_values(rules: dict[str, Any]) -> None:
    """What cannot be meant is refused when the file is read."""
    with pytest.raises(MappingErrors):
        parse_mapping(json.dumps({"billing_rules": rules}))


@pytest.mark.parametrize("reference", ["VolejRejNm", "acme", "ACME", "BE1"])
def test_clients_by_whatever_people_write(reference: str) -> None:
    """A client may be named by its id, number or id number, in projects as in client_rules."""
    mapping = parse_mapping(
        json.dumps(
            {
                "project_mappings": [{"taiga_project_id": 1, "invoiceninja_client_id": reference, "notes": "project"}],
                "client_rules": {"VolejRejNm": {"payment_terms": "eom"}},
            }
        )
    )
    rules = scopes_of(mapping, {ACME.id: ACME}).client(ACME.id)
    assert (rules.payment_terms, rules.notes) == ("eom", "project")


def test_a_number_of_two_clients_means_none() -> None:
    """What several clients could be meant by is nobody's rules."""
    twin = NinjaClient("Opnel5aKBz", "0002", "Twin", id_number="acme")
    mapping = parse_mapping('{"client_rules": {"acme": {"notes": "whose?"}}}')
    scopes = scopes_of(mapping, {ACME.id: ACME, twin.id: twin})
    assert not scopes.is_mapped(ACME.id)
    assert not scopes.is_mapped(twin.id)


def test_no_client_is_without_runs() -> None:
    """A calendar that only shows when the client is known is not waited for: the general runs bill it."""
    mapping = parse_mapping(
        json.dumps(
            {
                "project_mappings": [{"taiga_project_id": 1, "invoiceninja_client_id": "acme", "generation_day": 3}],
                "client_rules": {"VolejRejNm": {"frequency": "weekly"}},
            }
        )
    )
    known = calendars_of(mapping)
    assert len(known) == 3
    name = calendar_name(ACME.id, scopes_of(mapping, {ACME.id: ACME}), known)
    assert name == "monthly-1-06h-UTC"
