"""The price of recorded work changes only by a cause of its own."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import ProjectRules, parse_mapping
from mappings.taiga.models import WorkItem
from mappings.time.entry import plan_time
from mappings.time.models import NotBillable, RateKind
from mappings.time.rates import Rate
from mappings.time.recorded import Recorded, rate_of, read_recorded, shown_assignee
from tests.unit.mappings.time.test_taiga_mapping_time_entry import work

BEFORE = Recorded(Decimal(60), "project", 1, own_client="", assignee="ann", assignee_id=5)


def rules(**parts: Any) -> ProjectRules:
    """Project 1 of client acme at 80 an hour now; ann has a rate of 110 of her own, bob has none."""
    project = {"taiga_project_id": 1, "invoiceninja_client_id": "acme", "default_hourly_rate": 80}
    return parse_mapping(json.dumps({"project_mappings": [project], "user_rates": {"ann": 110}, **parts})).rules_for(1)


def item(assignee: str | None = "ann", assignee_id: int | None = 5, project_id: int = 1) -> WorkItem:
    """Work of ann in project 1."""
    return replace(work(), assignee=assignee, assignee_id=assignee_id, project_id=project_id)


def rate(of: WorkItem, before: Recorded | None, own: Any = None, own_client: str = "") -> Rate:
    """The rate by the rules above."""
    return rate_of(of, own, own_client, rules(), before)


@pytest.mark.parametrize("kind", ["user", "project", "client", "general", ""])
def test_the_rules_are_no_cause(kind: RateKind) -> None:
    """Whatever mappings.json says by now, recorded work keeps its rate and why it is that."""
    assert rate(item(), replace(BEFORE, kind=kind)) == Rate(Decimal(60), "recorded before", kind)


def test_new_work_has_the_rate_of_now() -> None:
    """What was not recorded before is billed at the rates of now."""
    assert rate(item(), None).amount == 110


def test_own_rate_decides() -> None:
    """A rate that somebody types into the item changes it, and clearing that again goes back to the rates of now."""
    assert rate(item(), BEFORE, own=95) == Rate(Decimal(95), '"Hourly Rate" in Taiga', "task")
    assert rate(item(), replace(BEFORE, kind="task")).amount == 110


@pytest.mark.parametrize(
    ("name", "number", "before", "amount"),
    [
        ("ann.new", 5, BEFORE, 60),
        ("deleted-user-1795000000000", 5, BEFORE, 60),
        ("deleted-user-1795000000000", None, replace(BEFORE, kind="user", assignee_id=None), 60),
        (None, None, replace(BEFORE, kind="user"), 60),
        ("bob", 6, BEFORE, 60),
        ("bob", 6, replace(BEFORE, kind="user"), 80),
        ("ann", 5, replace(BEFORE, assignee="bob", assignee_id=6), 110),
        ("bob", None, replace(BEFORE, kind="", assignee_id=None), 80),
        ("carl", None, replace(BEFORE, kind="", assignee="bob", assignee_id=None), 60),
    ],
    ids=[
        "renamed",
        "deleted",
        "deleted-before-ids",
        "nobody",
        "neither has a rate",
        "from ann",
        "to ann",
        "unknown, from ann",
        "unknown, neither",
    ],
)
def test_another_person(name: str | None, number: int | None, before: Recorded, amount: int) -> None:
    """Another person is a cause when one of the two has a rate; a renamed or deleted account is no other person."""
    assert rate(item(name, number), before).amount == amount


def test_another_project_or_client() -> None:
    """Work that moves to another project, or for which somebody types another client, is billed at the rates of now."""
    assert rate(item(), replace(BEFORE, project_id=2)).amount == 110
    assert rate(item(), BEFORE, own_client="globex").amount == 110
    assert rate(item(), replace(BEFORE, own_client=None), own_client="globex").amount == 60


def test_hours_keep_their_rounding() -> None:
    """Hours that were recorded stay rounded as they were; other hours follow the rules of now."""
    before = replace(BEFORE, raw_hours=Decimal("1.5"), hours=Decimal(2))
    kept = plan_time(work(), rules(), existing_end=None, recorded=before)
    assert not isinstance(kept, NotBillable)
    assert (kept.raw_hours, kept.hours, kept.rate) == (Decimal("1.5"), Decimal(2), Decimal(60))
    moved = plan_time(work(), rules(), existing_end=None, recorded=replace(before, project_id=2))
    other = plan_time(work(), rules(), existing_end=None, recorded=replace(before, raw_hours=Decimal(1)))
    for one in (moved, other):
        assert not isinstance(one, NotBillable)
        assert one.hours == Decimal("1.5")


def test_a_deleted_account_keeps_its_name() -> None:
    """The name that customers read is the one that the person had."""
    assert shown_assignee(item("deleted-user-17"), BEFORE) == "ann"
    assert shown_assignee(item("bob"), BEFORE) == "bob"
    assert shown_assignee(item(None), None) == ""


def test_links_of_older_versions() -> None:
    """A link without an entry says nothing; one of an older version says the rate, but not why."""
    sent = {"rate": "60.00", "raw_hours": "2", "hours": "2"}
    assert read_recorded({}) is None
    old = read_recorded({"sent": sent, "origin": {"person": "ann", "taiga_project_id": 1}})
    assert old == Recorded(Decimal(60), "", 1, assignee="ann", raw_hours=Decimal(2), hours=Decimal(2))


@given(
    rate_now=st.integers(1, 500), user_now=st.none() | st.integers(1, 500), kind=st.sampled_from(["user", "project"])
)
def test_no_file_reaches_recorded_work(rate_now: int, user_now: int | None, kind: RateKind) -> None:
    """With the same item, no content of mappings.json changes the price of recorded work."""
    now = rules(
        user_rates={} if user_now is None else {"ann": user_now}, billing_rules={"default_hourly_rate": rate_now}
    )
    assert rate_of(item(), None, "", now, replace(BEFORE, kind=kind)).amount == 60
