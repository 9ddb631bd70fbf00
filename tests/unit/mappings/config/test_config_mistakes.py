"""mappings.json: what is wrong with it, in a person's words, all at once."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import parse_mapping
from mappings.errors import MappingErrors, Problem

PROJECT = {"taiga_project_id": 1, "invoiceninja_client_id": "acme"}


def problems(data: Any) -> dict[str, Problem]:
    """What is wrong with a file of this content (a text is taken as it is), by path."""
    with pytest.raises(MappingErrors) as caught:
        parse_mapping(data if isinstance(data, str) else json.dumps(data))
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1
    return {problem.path: problem for problem in caught.value.problems}


def rules_problem(**rules: Any) -> Problem:
    """The only thing that is wrong with these billing rules."""
    (problem,) = problems({"billing_rules": rules}).values()
    return problem


def test_every_mistake_is_told_at_once() -> None:
    """One run of the check shows all there is to repair, in every part of the file."""
    found = problems(
        {
            "project_mappings": [
                PROJECT,
                {**PROJECT, "default_hourly_rate": "75"},
                {"taiga_project_id": 3, "user_rates": {"j.doe": 0}},
            ],
            "billing_rules": {"rounding": "up", "timezone": "Mars/Base"},
            "projekt_mappings": [],
        }
    )
    assert set(found) == {
        "project_mappings[1].default_hourly_rate",
        "project_mappings[1].taiga_project_id",
        "project_mappings[2].invoiceninja_client_id",
        'project_mappings[2].user_rates["j.doe"]',
        "billing_rules.rounding",
        "billing_rules.timezone",
        "projekt_mappings",
    }
    assert found["project_mappings[1].taiga_project_id"].message == "1 is mapped in project_mappings[0] already"
    assert found["project_mappings[1].default_hourly_rate"].message == 'must be a number, not "75"'


@pytest.mark.parametrize(
    ("rules", "hint"),
    [
        ({"Rounding": "hour"}, 'did you mean "rounding"?'),
        ({"min_billable_hour": 1}, 'did you mean "min_billable_hours"?'),
        ({"user_rates": {}}, 'move it into "'),
        ({"zzz": 1}, "remove it; known here: "),
    ],
)
def test_unknown_settings_come_with_a_proposal(rules: dict[str, Any], hint: str) -> None:
    """A mistyped key is an error that names the key that was meant."""
    problem = rules_problem(**rules)
    assert problem.message == "is not a setting"
    assert hint in problem.hint or (hint.startswith("move") and "remove it" in problem.hint)


def test_settings_in_the_wrong_part_are_sent_to_the_right_one() -> None:
    """A rule written beside billing_rules is told where it belongs."""
    assert problems({"rounding": "hour"})["rounding"].hint == 'move it into "billing_rules"'


@pytest.mark.parametrize(
    ("data", "path", "hint"),
    [
        ({"project_mappings": [{**PROJECT, "rate": 1}]}, "project_mappings[0].rate", "remove it"),
        (
            {"project_mappings": [{**PROJECT, "attributes": {"hour": "x"}}]},
            "project_mappings[0].attributes.hour",
            "hours",
        ),
        ({"client_rules": {"acme": {"notess": ""}}}, "client_rules.acme.notess", "notes"),
        ({"client_rules": {"acme": {"discount": {"value": 1, "knd": ""}}}}, "client_rules.acme.discount.knd", "kind"),
        ({"billing_rules": {"taxes": [{"name": "VAT", "rate": 1, "nam": 2}]}}, "billing_rules.taxes[0].nam", "name"),
    ],
)
def test_proposals_know_every_part(data: Any, path: str, hint: str) -> None:
    """The proposal is made from the keys of the part in which the wrong key stands."""
    assert hint in problems(data)[path].hint


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"auto_send": 1}, "must be true or false, not 1"),
        ({"auto_send": "yes"}, 'must be true or false, not "yes"'),
        ({"generation_day": 0}, "must be at least 1, not 0"),
        ({"generation_day": 32}, "must be at most 31, not 32"),
        ({"generation_day": 1.5}, "must be a whole number, not 1.5"),
        ({"generation_day": True}, "must be a whole number, not true"),
        ({"min_billable_hours": -1}, "must be at least 0, not -1"),
        ({"min_billable_hours": True}, "must be a number, not true"),
        ({"min_billable_hours": [1]}, "must be a number, not a list of 1 values"),
        ({"billable_from": "1.11.2026"}, '"1.11.2026" is not a date'),
        ({"max_hours": 0}, "must be more than 0, not 0"),
        ({"default_hourly_rate": 0}, "must be more than 0, not 0"),
        ({"default_hourly_rate": 10.0055}, "must have at most 2 decimals, not 10.0055"),
        ({"default_hourly_rate": 10.005}, "10.005 may be meant in two ways: 10005 or 10.005?"),
        ({"max_hours": 1.125}, "1.125 may be meant in two ways: 1125 or 1.125?"),
        ({"min_invoice_amount": 12.375}, "12.375 may be meant in two ways: 12375 or 12.375?"),
        ({"default_hourly_rate": 10**12}, "must be at most 1000000000, not 1000000000000"),
        ({"default_hourly_rate": float("nan")}, 'must be a number, not "NaN"'),
        ({"default_hourly_rate": float("inf")}, 'must be a number, not "Infinity"'),
        ({"timezone": "../etc/passwd"}, '"../etc/passwd" is not a time zone'),
        ({"timezone": "Europe"}, '"Europe" is not a time zone'),
        ({"timezone": 1}, "must be a text, not 1"),
        ({"payment_terms": "net"}, '"net" is not a payment term'),
        ({"payment_terms": "net366"}, '"net366" is not a payment term'),
        ({"taxes": {}}, "must be a list, not an object with 0 keys"),
        ({"taxes": [{"name": "VAT", "rate": 1}] * 4}, "must have at most 3 entries"),
        ({"taxes": [{"name": "V", "rate": 1}]}, "is one letter, and Invoice Ninja ignores such a tax"),
        ({"discount": 5}, "must be an object, not 5"),
        ({"billable_types": []}, "must not be empty"),
        ({"product_key": "x" * 201}, "must have at most 200 characters"),
        ({"match_by_amount": "yes"}, "must be 'off', 'propose' or 'auto', not \"yes\""),
    ],
)
def test_wrong_values_say_what_is_allowed(rules: dict[str, Any], message: str) -> None:
    """Each value is checked by its kind, and the message names what stands there and what may."""
    problem = rules_problem(**rules)
    assert problem.message == message
    assert problem.hint


@pytest.mark.parametrize("terms", ["net0", "net30", "net365", "eom", "due_on_receipt"])
def test_payment_terms(terms: str) -> None:
    """These are the terms that are understood."""
    parse_mapping(json.dumps({"billing_rules": {"payment_terms": terms}}))


@pytest.mark.parametrize("name", ["", " ", "a ", "a\nb"])
def test_user_names_are_texts(name: str) -> None:
    """A user name with blanks around it would never match, so it is refused."""
    (problem,) = problems({"user_rates": {name: 1}}).values()
    assert "blanks" in problem.message


def test_project_ids_are_whole_numbers() -> None:
    """A quoted project id is a mistake of its own and is not compared with the others."""
    found = problems({"project_mappings": [{**PROJECT, "taiga_project_id": "1"}, PROJECT]})
    assert set(found) == {"project_mappings[0].taiga_project_id"}


def test_client_ids_are_ids() -> None:
    """A client's name instead of its id is seen at once."""
    found = problems({"project_mappings": [{"taiga_project_id": 1, "invoiceninja_client_id": "Acme Ltd."}]})
    assert found["project_mappings[0].invoiceninja_client_id"].message == 'is not an id: "Acme Ltd."'


def test_what_the_reader_has_no_words_for_is_told_as_it_is() -> None:
    """A kind of mistake that was not foreseen keeps the words of the validator."""
    problem = rules_problem(notes="\ud800")
    assert "unicode" in problem.message
    assert problem.hint == "see docs/mapping.md"


def test_braces_in_values_do_no_harm() -> None:
    """Messages are built from what people typed, whatever it is."""
    assert problems({"billing_rules": {"rounding": "{x}"}})["billing_rules.rounding"].message.endswith('not "{x}"')
    assert '["{x}"]' in next(iter(problems({"{x}": 1})))


@pytest.mark.parametrize("frequency", ["weekly", "biweekly"])
def test_a_week_has_seven_days(frequency: str) -> None:
    """A generation day over 7 needs the frequency monthly, wherever the two are written."""
    found = problems(
        {
            "billing_rules": {"generation_day": 20},
            "client_rules": {"acme": {"frequency": frequency}, "other": {"notes": ""}, "odd": 5},
            "project_mappings": [
                {**PROJECT, "frequency": frequency},
                {**PROJECT, "taiga_project_id": 2, "generation_day": 8},
                {**PROJECT, "taiga_project_id": 3, "frequency": "monthly"},
                {**PROJECT, "taiga_project_id": 4},
            ],
        }
    )
    assert set(found) == {
        "client_rules.odd",
        "client_rules.acme.generation_day",
        "project_mappings[0].generation_day",
        "project_mappings[1].generation_day",
    }
    parse_mapping(json.dumps({"billing_rules": {"generation_day": 7, "frequency": frequency}}))


def test_attributes_have_different_names() -> None:
    """Two meanings cannot be read from one attribute."""
    assert set(problems({"attributes": {"hours": "Hourly Rate"}})) == {"attributes.hours"}
    found = problems(
        {
            "attributes": {"hours": "Work"},
            "project_mappings": [{**PROJECT, "attributes": {"billable": "Work"}}],
        }
    )
    assert found["project_mappings[0].attributes.billable"].message == '"Work" is the name of hours too'


def test_syntax_errors_name_line_and_column() -> None:
    """A surplus comma is found where it stands."""
    found = problems('{\n  "user_rates": {"a": 1,}\n}')
    # Python 3.13 points at the comma, older ones at the brace behind it.
    assert set(found) <= {"line 2, column 24", "line 2, column 25"}
    assert found


@pytest.mark.parametrize("text", ["", "no", "{"])
def test_other_texts_are_no_json(text: str) -> None:
    """An empty or cut file is told as such."""
    (problem,) = problems(text).values()
    assert "is not JSON" in problem.message


@pytest.mark.parametrize("text", ["[" * 200_000, f'{{"user_rates": {{"a": {"9" * 5000}}}}}'], ids=["deep", "digits"])
def test_json_beyond_reading(text: str) -> None:
    """What would break the reader is refused in words too."""
    assert problems(text)[""].message == "is JSON that cannot be read"


@pytest.mark.parametrize("text", ["[]", "5", "null", '"x"'])
def test_other_json_is_no_mapping(text: str) -> None:
    """JSON of another shape is refused as a whole."""
    assert problems(text)[""].message.startswith("must be an object")


def test_repeated_keys_are_told() -> None:
    """Of a user named twice JSON would silently keep the last rate."""
    found = problems('{"user_rates": {"ann": 50, "ann": 60}}')
    assert found[""].message == 'has the key "ann" twice in one object'


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["project_mappings", "user_rates", "client_rules", "billing_rules", "attributes", "taxes", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_or_refused_in_words(data: Any) -> None:
    """Whatever the file holds, the answer is a mapping or a list of problems."""
    found: tuple[Problem, ...] = ()
    try:
        parse_mapping(json.dumps(data))
    except MappingErrors as errors:
        found = errors.problems
    assert all(problem.message and problem.hint for problem in found)


def test_zeros_behind_a_rate_are_in_doubt_and_a_percentage_is_not() -> None:
    """`1.200` may be a rate of 1200; a tax of 8.875 percent can be nothing else, and 1.2000 says what is meant."""
    (problem,) = problems('{"user_rates": {"ann": 1.200}}').values()
    assert (problem.message, problem.hint) == (
        "1.200 may be meant in two ways: 1200 or 1.20?",
        "write 1200, or 1.2000 for the smaller one",
    )
    taxed = '{"billing_rules": {"taxes": [{"name": "Tax", "rate": 8.875}], "default_hourly_rate": 1.2000}}'
    assert parse_mapping(taxed).billing_rules.default_hourly_rate == Decimal("1.2")
