"""Which hourly rate applies."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import ProjectRules, parse_mapping
from mappings.errors import BadInput
from mappings.time.rates import pick_rate


def rules(
    *, user: float | None = None, project: float | None = None, general: float | None = None, mine: float | None = None
) -> ProjectRules:
    """A project with these rates: of the user ann, of ann in this project, of the project, of all."""
    file = {
        "user_rates": {} if user is None else {"ann": user},
        "billing_rules": {"default_hourly_rate": general},
        "project_mappings": [
            {
                "taiga_project_id": 7,
                "invoiceninja_client_id": "acme",
                "default_hourly_rate": project,
                "user_rates": {} if mine is None else {"ann": mine},
            }
        ],
    }
    return parse_mapping(json.dumps(file)).rules_for(7)


@pytest.mark.parametrize(
    ("own", "assignee", "amount", "source"),
    [
        (120, "ann", "120.00", '"Hourly Rate" in Taiga'),
        ("95,5", "ann", "95.50", '"Hourly Rate" in Taiga'),
        (99.99, None, "99.99", '"Hourly Rate" in Taiga'),
        (0.1 + 0.2, None, "0.30", '"Hourly Rate" in Taiga'),
        (None, "ann", "50.00", "user_rates of ann"),
        ("", "ann", "50.00", "user_rates of ann"),
        (" \u00a0", "ann", "50.00", "user_rates of ann"),
        (None, "bob", "75.00", "default_hourly_rate of the project"),
        (None, None, "75.00", "default_hourly_rate of the project"),
    ],
)
def test_precedence(own: Any, assignee: str | None, amount: str, source: str) -> None:
    """The narrowest rate wins, and its source can be told to a person."""
    rate = pick_rate(own, assignee, rules(user=50, project=75, general=60))
    assert (str(rate.amount), rate.source) == (amount, source)


def test_general_rate_is_the_last() -> None:
    """Without any other rate the general one applies."""
    assert pick_rate(None, "ann", rules(general=60)).source == "default_hourly_rate of billing_rules"


def test_rate_of_a_user_in_one_project() -> None:
    """A user's rate inside a project mapping replaces the user's usual one."""
    assert pick_rate(None, "ann", rules(user=50, mine=80)).amount == 80


def test_a_user_rate_in_other_capitals_is_no_silent_default() -> None:
    """Whether "Ann" of mappings.json is "ann" of Taiga is asked; a rate typed into the task decides by itself."""
    with pytest.raises(BadInput, match="the same person") as caught:
        pick_rate(None, "Ann", rules(user=50, project=75))
    assert (caught.value.field, caught.value.value) == ("user_rates", "ann")
    assert pick_rate(120, "Ann", rules(user=50)).amount == 120


def test_no_rate_is_never_zero() -> None:
    """Without a rate a person is asked, and told every place where one can be set."""
    with pytest.raises(BadInput) as caught:
        pick_rate(None, "ann", rules())
    assert str(caught.value) == '"Hourly Rate" is not set: there is no hourly rate for this work'
    for place in ('"Hourly Rate"', "user_rates of ann", "project 7", "billing_rules"):
        assert place in caught.value.hint


def test_no_rate_and_nobody_assigned() -> None:
    """The hint does not name a user who is not there."""
    with pytest.raises(BadInput) as caught:
        pick_rate("", None, rules())
    assert "user_rates of the assignee" in caught.value.hint


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("lots", "this is not an hourly rate"),
        ("75 EUR", "this is not an hourly rate"),
        ("1.500,5", "this is not an hourly rate"),
        ("1,200", "this may be meant in two ways: 1200 or 1.20?"),
        ("12.000", "this may be meant in two ways: 12000 or 12.00?"),
        (" \u2212999.125 ", "this may be meant in two ways: 999125 or 999.125?"),
        ([75], "this is not an hourly rate"),
        (True, "this is not an hourly rate"),
        (0, "this is not a rate above 0"),
        ("0", "this is not a rate above 0"),
        (-5, "this is not a rate above 0"),
        (1e300, "this is more than 1000000000 an hour"),
        pytest.param(10**5000, "this is more than 1000000000 an hour", id="5000 digits"),
        (33.333, "this has more than two decimals"),
        (1e-9, "this has more than two decimals"),
    ],
)
def test_nonsense_does_not_fall_back(own: Any, problem: str) -> None:
    """A rate that somebody typed wrongly is not silently replaced by another."""
    with pytest.raises(BadInput) as caught:
        pick_rate(own, "ann", rules(user=50, project=75, general=60))
    assert (caught.value.field, caught.value.problem) == ("Hourly Rate", problem)


@given(st.integers(1, 999), st.integers(0, 999), st.sampled_from(".,"))
def test_three_digits_behind_the_only_separator_are_never_guessed(whole: int, behind: int, separator: str) -> None:
    """A rate that is thousands in one country and a fraction in another one is refused with both readings."""
    with pytest.raises(BadInput) as caught:
        pick_rate(f"{whole}{separator}{behind:03}", "ann", rules(user=50))
    assert f"two ways: {whole}{behind:03} or {whole}." in caught.value.problem


amounts = st.none() | st.integers(1, 10**6).map(lambda cents: float(Decimal(cents) / 100))


@given(amounts, amounts, amounts, amounts)
def test_the_first_rate_that_is_set_wins(
    own: float | None, user: float | None, project: float | None, general: float | None
) -> None:
    """For every combination of rates the precedence holds to the cent."""
    known = [rate for rate in (own, user, project, general) if rate is not None]
    try:
        amount = pick_rate(own, "ann", rules(user=user, project=project, general=general)).amount
    except BadInput:
        amount = None
    assert amount == (Decimal(str(known[0])) if known else None)
