"""A name in mappings.json that is no client's is never a silent default: the plan says so and waits."""

import json
from typing import Any

from mappings.config.file import MappingFile, parse_mapping
from mappings.invoices.models import InvoicePlan, TimeLink
from mappings.invoices.plan import plan
from tests.unit.mappings.invoices.test_invoicing_plan import task, work

VAT = {"taxes": [{"name": "VAT", "rate": 21}]}


def planned(mapping: dict[str, Any], *, is_whole: bool = True) -> InvoicePlan:
    """The plan of one task of Acme (number 0001), recorded from project 1 of Taiga."""
    file: MappingFile = parse_mapping(json.dumps(mapping))
    one = task(1)
    links = {one.id: TimeLink(subject="taiga:task:1", taiga_project_id=1)}
    return plan(work(one, links=links, knows_all_clients=is_whole), file)


def test_rules_under_a_mistyped_client_are_not_left_away() -> None:
    """Without its VAT the client is not billed: it is left out, and a warning says what to correct."""
    made = planned({"client_rules": {"00001": VAT}})
    assert made.invoices == ()
    (left_out,) = made.left_out
    assert left_out.reason == 'client_rules of mappings.json name "00001", which is no client and may mean this one'
    assert (left_out.hint.partition(" (")[0], left_out.task_ids) == ("correct the name in mappings.json", ("t0001",))
    (warning,) = made.warnings
    assert warning.startswith('mappings.json, client_rules["00001"]: Invoice Ninja has no single live client "00001"')
    assert warning.endswith('(did you mean "a" (Acme)?)')


def test_rules_of_others_do_not_hold_a_client_back() -> None:
    """A client with rules of its own, or of another name, is billed; the warning is there all the same."""
    assert planned({"client_rules": {"00001": VAT, "a": {}}}).invoices
    made = planned({"client_rules": {"Zeppelin": VAT}})
    assert made.invoices
    assert len(made.warnings) == 1


def test_work_of_a_project_whose_client_is_gone_waits() -> None:
    """After a merge the tasks are at the surviving client; the rules that were written for the other one are lost."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "Merged"}
    made = planned({"project_mappings": [project], "client_rules": {"Merged": VAT}})
    assert made.invoices == ()
    (left_out,) = made.left_out
    assert left_out.reason == 'project 1 is mapped to "Merged", which is no client, and its work is at this one'


def test_without_rules_nothing_is_lost_with_a_client() -> None:
    """Work that a merge moved is billed by the general rules, if no others were written; the plan warns."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "Merged"}
    made = planned({"project_mappings": [project], "client_rules": {"a": {}}})
    assert (len(made.invoices), len(made.warnings)) == (1, 1)
    assert planned({"project_mappings": [project | VAT], "client_rules": {"a": {}}}).invoices == ()


def test_where_not_all_clients_are_known_no_name_is_judged() -> None:
    """The invoice of one client is made from what was planned with all of them."""
    made = planned({"client_rules": {"00001": VAT}}, is_whole=False)
    assert made.invoices
    assert made.warnings == ()
