"""Names in mappings.json: what they mean, and what is found about those that mean nothing."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import MappingFile, parse_mapping
from mappings.config.references import ClientIndex, client_problems, project_problems, user_problems
from mappings.invoiceninja.models import NinjaClient, Project

CLIENTS = {
    one.id: one
    for one in (
        NinjaClient("VolejRejNm", "acme", "Acme GmbH", id_number="BE1"),
        NinjaClient("Opnel5aKBz", "globex", "Globex Ltd", id_number="shared"),
        NinjaClient("Wpmbk5ezJn", "initech", "Initech", id_number="shared"),
    )
}


def file(clients: list[str], rules: list[str], **more: Any) -> MappingFile:
    """A mapping with projects 1, 2 ... of these clients, and client_rules of these."""
    projects = [
        {"taiga_project_id": number, "invoiceninja_client_id": client} for number, client in enumerate(clients, 1)
    ]
    return parse_mapping(
        json.dumps({"project_mappings": projects, "client_rules": {name: {} for name in rules}} | more)
    )


def test_a_client_that_is_none_is_named_with_its_path_and_what_was_meant() -> None:
    """A mistyped client of a project and of client_rules, and a number of two clients, are all found."""
    found = list(client_problems(file(["acmee"], ["Initec", "shared", "zzz"]), CLIENTS))
    assert [(problem.path, problem.hint) for problem in found] == [
        ("project_mappings[0].invoiceninja_client_id", 'did you mean "VolejRejNm" (Acme GmbH)?'),
        ("client_rules.Initec", 'did you mean "Wpmbk5ezJn" (Initech)?'),
        ("client_rules.shared", 'did you mean "Opnel5aKBz" (Globex Ltd) or "Wpmbk5ezJn" (Initech)?'),
        ("client_rules.zzz", "write the id, number or id number of an active client, or remove it"),
    ]
    assert found[0].message == 'Invoice Ninja has no single live client "acmee"'


def test_one_client_under_two_names_is_found() -> None:
    """Rates of client_rules reach the hours of a project only under the name that the project has."""
    found = list(client_problems(file(["VolejRejNm", "globex"], ["ACME", "BE1", "globex"]), CLIENTS))
    assert [(problem.path, problem.message) for problem in found] == [
        ("client_rules.BE1", 'means the same client as "ACME"'),
        (
            "project_mappings[0].invoiceninja_client_id",
            '"VolejRejNm" is called "ACME" in client_rules, whose rates and rounding do not reach its hours',
        ),
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Senior_Bob", 'did you mean "senior_bob"?'),
        ("senior_bop", 'did you mean "senior_bob"?'),
        ("xyz", "write the user name as Taiga shows it, or remove it"),
    ],
)
def test_a_user_rate_of_nobody_is_found(name: str, hint: str) -> None:
    """A capital letter or a typo in `user_rates` would bill at another rate."""
    (problem,) = user_problems(file(["acme"], [], user_rates={name: 110, "ann": 50}), {1: ["senior_bob", "ann"]})
    assert (problem.path, problem.hint) == (f"user_rates.{name}", hint)
    assert problem.message == f'no member of the mapped projects has the user name "{name}"'


def test_a_rate_inside_a_project_is_compared_with_the_members_of_that_project() -> None:
    """A project that could not be read says nothing, neither of its own rates nor of the general ones."""
    mapping = file(["acme", "globex"], [], user_rates={"nobody": 5})
    projects = [project.model_copy(update={"user_rates": {"bob": 1}}) for project in mapping.project_mappings]
    mapping = mapping.model_copy(update={"project_mappings": tuple(projects)})
    assert [problem.path for problem in user_problems(mapping, {2: ["ann"]})] == ["project_mappings[1].user_rates.bob"]
    paths = [problem.path for problem in user_problems(mapping, {1: ["bob"], 2: ["ann"]})]
    assert paths == ["user_rates.nobody", "project_mappings[1].user_rates.bob"]


def test_a_project_that_is_gone_or_of_another_client_is_found() -> None:
    """Only live projects of the mapped client mean something; a client that means nothing accuses no project."""
    mapping = file(["acme", "acme", "globex", "nobody", "acme"], [])
    ids = ["site", "gone", "site", "site", None]
    mapped = [
        one.model_copy(update={"invoiceninja_project_id": project_id})
        for one, project_id in zip(mapping.project_mappings, ids, strict=True)
    ]
    mapping = mapping.model_copy(update={"project_mappings": tuple(mapped)})
    found = list(project_problems(mapping, CLIENTS, [Project("site", "1", "Site", "VolejRejNm", Decimal(0))]))
    assert [problem.path for problem in found] == [
        "project_mappings[1].invoiceninja_project_id",
        "project_mappings[2].invoiceninja_project_id",
    ]
    assert found[0].message == 'its client in Invoice Ninja has no live project "gone"'


names = st.sampled_from(
    ["VolejRejNm", "acme", "ACME", "BE1", "globex", "Opnel5aKBz", "initech", "shared"]
) | st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)


@given(st.lists(names, max_size=4), st.lists(names, max_size=4, unique=True))
def test_every_name_has_one_meaning_or_is_found(clients: list[str], rules: list[str]) -> None:
    """Whatever mappings.json names, it is one client of Invoice Ninja, or it has a line with its path."""
    index = ClientIndex(CLIENTS)
    found = list(client_problems(file(clients, rules), CLIENTS))
    lost = sum(not index.resolve(name) for name in [*clients, *rules])
    assert sum("no single live client" in problem.message for problem in found) == lost
    meant = [index.resolve(name) for name in rules if index.resolve(name)]
    assert sum("means the same" in problem.message for problem in found) == len(meant) - len(set(meant))
