"""The time entry that is due for a piece of work."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.config.file import MappingFile, ProjectRules, parse_mapping
from mappings.errors import BadInput
from mappings.taiga.models import WorkItem
from mappings.taiga.webhook import KINDS, read_webhook
from mappings.time.entry import correction, entry_number, plan_time
from mappings.time.models import NotBillable, TimeEntry
from mappings.values.hours import hours_to_seconds
from tests.support.recorded import taiga_webhooks

FINISHED = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
END = int(FINISHED.timestamp())
READY = {"Billable": True, "Duration (Hours)": 1.5}


def rules(project: Mapping[str, Any] | None = None, **parts: Any) -> ProjectRules:
    """The rules of project 1 of client acme."""
    own = {
        "taiga_project_id": 1,
        "invoiceninja_client_id": "acme",
        "invoiceninja_project_id": "site",
        "default_hourly_rate": 75,
        **(project or {}),
    }
    return parse_mapping(json.dumps({"project_mappings": [own], **parts})).rules_for(1)


RULES = rules()


def work(typed: Mapping[str, Any] | None = None, /, **changes: Any) -> WorkItem:
    """A closed, billable task of 1.5 hours, with these attributes beside."""
    item = WorkItem(
        kind="task",
        id=12,
        ref=3,
        subject="Build login form",
        permalink="http://front/project/site/task/3",
        project_id=1,
        project_name="Website",
        is_closed=True,
        changed_at=FINISHED + timedelta(hours=5),
        finished_at=FINISHED,
        assignee="ann",
        attributes={**READY, **(typed or {})},
    )
    return replace(item, **changes)


def entry(item: WorkItem, effective: ProjectRules = RULES, existing_end: int | None = None) -> TimeEntry:
    """The time entry that is due."""
    result = plan_time(item, effective, existing_end=existing_end)
    assert isinstance(result, TimeEntry)
    return result


def refusal(item: WorkItem, effective: ProjectRules | None = RULES) -> str:
    """Why no entry is due."""
    result = plan_time(item, effective, existing_end=None)
    assert isinstance(result, NotBillable)
    return result.reason


def test_finished_work_in_full() -> None:
    """The whole entry of a plain closed task."""
    assert entry(work()) == TimeEntry(
        number="TAIGA-T12",
        description="Task #3: Build login form",
        client_ref="acme",
        project_id="site",
        rate=Decimal(75),
        raw_hours=Decimal("1.5"),
        hours=Decimal("1.5"),
        started_at=END - 5400,
        ended_at=END,
        rate_kind="project",
    )


@pytest.mark.parametrize(
    ("kind", "number", "word"),
    [("task", "TAIGA-T12", "Task"), ("userstory", "TAIGA-US12", "User story"), ("issue", "TAIGA-I12", "Issue")],
)
def test_kinds(kind: Any, number: str, word: str) -> None:
    """Each kind has its own numbers and says what it is."""
    result = entry(work(kind=kind), rules({"billable_types": ["task", "userstory", "issue"]}))
    assert (result.number, result.description) == (number, f"{word} #3: Build login form")
    assert entry_number(kind, 12) == number


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (work(kind="issue"), "issue: this type is not in billable_types"),
        (work(is_deleted=True, attributes=None), "deleted in Taiga"),
        (work(is_closed=False), "not closed"),
        (work({"Billable": False}), "not marked billable"),
        (work(attributes={}), "not marked billable"),
        (work(attributes=None), "not marked billable"),
        (work({"Duration (Hours)": ""}), "no hours yet"),
        (work({"Duration (Hours)": 0}), "no hours yet"),
        (work(attributes={"Billable": True}), "no hours yet"),
    ],
)
def test_not_billable(item: WorkItem, reason: str) -> None:
    """Each reason has its words."""
    assert refusal(item) == reason


@pytest.mark.parametrize(
    "changes", [{"is_closed": False}, {"is_deleted": True}, {"kind": "issue"}], ids=["open", "deleted", "issue"]
)
def test_nobody_is_bothered_with_work_that_is_not_billed(changes: Any) -> None:
    """Nonsense in an open task, or in an unmapped project, is no error: it is not due yet."""
    item = work({"Duration (Hours)": "lots", "Billable": "maybe", "Hourly Rate": "x"}, **changes)
    assert refusal(item)
    assert refusal(item, None)
    assert refusal(item, MappingFile().rules_for(99))


def test_unbilled_work_in_an_unmapped_project() -> None:
    """Work that nobody marked billable needs no mapping."""
    assert refusal(work({"Billable": False}), None) == "not marked billable"


@pytest.mark.parametrize("effective", [None, MappingFile().rules_for(1)])
def test_billable_work_in_an_unmapped_project(effective: ProjectRules | None) -> None:
    """The hint says what to add to mappings.json, by id and name."""
    with pytest.raises(BadInput) as caught:
        plan_time(work({"Duration (Hours)": "lots"}), effective, existing_end=None)
    assert str(caught.value) == '"taiga_project_id" is "1 (Website)": mappings.json does not name this project'
    assert caught.value.hint == 'add taiga_project_id 1 ("Website") with its client to project_mappings'


def test_unmapped_project_is_judged_by_the_configured_names() -> None:
    """Where the billable attribute has another name, that name counts in projects without a mapping too."""
    effective = parse_mapping('{"attributes": {"billable": "Abrechenbar"}}').rules_for(1)
    assert refusal(work(), effective) == "not marked billable"
    with pytest.raises(BadInput):
        plan_time(work({"Abrechenbar": True}, project_name=""), effective, existing_end=None)


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ({"Billable": "maybe"}, "Billable"),
        ({"Duration (Hours)": "about two"}, "Duration (Hours)"),
        ({"Duration (Hours)": -2}, "Duration (Hours)"),
        ({"Hourly Rate": "x"}, "Hourly Rate"),
        ({"Client Invoice ID": True}, "Client Invoice ID"),
        ({"Client Invoice ID": ["acme"]}, "Client Invoice ID"),
        ({"Client Invoice ID": 1.5}, "Client Invoice ID"),
        ({"Client Invoice ID": 1e300}, "Client Invoice ID"),
        ({"Client Invoice ID": float("nan")}, "Client Invoice ID"),
        ({"Client Invoice ID": "x" * 101}, "Client Invoice ID"),
    ],
)
def test_nonsense_in_finished_work_is_for_a_person(attributes: dict[str, Any], field: str) -> None:
    """The attribute is named as it is called in Taiga."""
    with pytest.raises(BadInput) as caught:
        plan_time(work(attributes), RULES, existing_end=None)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("typed", "client", "project"),
    [
        ("globex-7", "globex-7", ""),
        (" globex-7\n", "globex-7", ""),
        (42, "42", ""),
        (42.0, "42", ""),
        (Decimal("42.0"), "42", ""),
        ("", "acme", "site"),
        ("  ", "acme", "site"),
        (None, "acme", "site"),
        ("acme", "acme", "site"),
    ],
)
def test_client_of_the_item(typed: Any, client: str, project: str) -> None:
    """A client typed into the item wins, and then the project of another client must not be named."""
    result = entry(work({"Client Invoice ID": typed}))
    assert (result.client_ref, result.project_id) == (client, project)


def test_rounded_hours_end_where_the_work_ended() -> None:
    """Rounding moves the start; the hours as typed are kept beside."""
    result = entry(work({"Duration (Hours)": "1:05"}), rules({"rounding": "quarter_hour"}))
    assert (str(result.raw_hours), str(result.hours)) == ("1.0833", "1.25")
    assert (result.started_at, result.ended_at) == (END - 4500, END)


def test_minimum() -> None:
    """Small work is raised to the minimum, or skipped where that is configured."""
    item = work({"Duration (Hours)": 0.1})
    assert entry(item, rules({"min_billable_hours": 0.5})).hours == Decimal("0.5")
    skipping = rules({"min_billable_hours": 0.5, "below_minimum": "skip"})
    assert refusal(item, skipping) == "below the minimum of 0.5 h"


def test_rounding_down_to_nothing() -> None:
    """No entry of zero seconds is ever made."""
    down = rules({"rounding": "hour", "rounding_mode": "down"})
    assert refusal(work({"Duration (Hours)": 0.5}), down) == "rounds down to nothing"


def test_end_of_work_without_a_time_of_closing() -> None:
    """An entry that exists stays where it is; a new one ends when the item changed."""
    item = work(finished_at=None)
    assert entry(item, existing_end=1000).ended_at == 1000
    assert entry(item).ended_at == END + 5 * 3600
    assert entry(work(), existing_end=1000).ended_at == END


def test_rate_of_the_item_and_of_the_assignee() -> None:
    """The rates go the way of `pick_rate`."""
    effective = rules(user_rates={"ann": 50})
    assert entry(work({"Hourly Rate": 120}), effective).rate == 120
    assert entry(work(), effective).rate == 50
    assert entry(work(assignee=None), effective).rate == 75


def test_configured_attribute_names() -> None:
    """Every attribute may be called otherwise."""
    effective = rules(
        {"attributes": {"billable": "B", "hours": "H", "hourly_rate": "R", "client": "C", "invoice_status": "S"}}
    )
    result = entry(work(attributes={"B": 1, "H": 2, "R": 3, "C": "c"}), effective)
    assert (str(result.hours), str(result.rate), result.client_ref) == ("2", "3.00", "c")


def test_description_is_one_short_line() -> None:
    """Line separators are folded and a subject without end is cut."""
    assert entry(work(subject="A\u2028B\u0000C")).description == "Task #3: A B C"
    long = entry(work(subject="x" * 1000)).description
    assert len(long) == 500
    assert long.endswith("…")


def test_correction_bills_the_difference_only() -> None:
    """Hours added after invoicing get an entry of their own."""
    desired = entry(work({"Duration (Hours)": 4}))
    result = correction(desired, Decimal("1.5"), 2)
    assert result.number == "TAIGA-T12-2"
    assert result.description == "Task #3: Build login form (correction: 2.5 h more than invoiced)"
    assert (result.hours, result.raw_hours, result.rate) == (Decimal("2.5"), Decimal("2.5"), Decimal(75))
    assert (result.started_at, result.ended_at) == (END - 9000, END)


def test_correction_of_a_long_description_stays_short() -> None:
    """The note about the correction is never cut off."""
    result = correction(entry(work({"Duration (Hours)": 4}, subject="x" * 1000)), Decimal(1), 3)
    assert len(result.description) == 500
    assert result.description.endswith("(correction: 3 h more than invoiced)")


@pytest.mark.parametrize("billed", ["1.5", "2"])
def test_fewer_hours_are_no_correction(billed: str) -> None:
    """A credit is a person's decision."""
    with pytest.raises(ValueError, match="no more than"):
        correction(entry(work()), Decimal(billed), 2)


seconds = st.integers(1, 500 * 3600)


@given(seconds, seconds)
def test_corrections_conserve_time(billed: int, more: int) -> None:
    """What was billed and what the correction bills add up to the second."""
    desired = replace(entry(work()), hours=Decimal(billed + more) / 3600)
    result = correction(desired, Decimal(billed) / 3600, 2)
    assert result.ended_at - result.started_at == more == hours_to_seconds(result.hours)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
names = st.sampled_from(["Billable", "Duration (Hours)", "Hourly Rate", "Client Invoice ID", "Invoice Status"])
step_names = st.sampled_from(["none", "quarter_hour", "half_hour", "hour"])


@given(st.dictionaries(names, values), step_names, st.booleans())
def test_any_attributes_end_in_an_entry_a_reason_or_bad_input(
    attributes: dict[str, Any], rounding: str, mapped: bool
) -> None:
    """Whatever people and programs store in Taiga, the answer is one of three, and time is conserved."""
    effective = rules({"rounding": rounding}) if mapped else None
    try:
        result = plan_time(work(attributes), effective, existing_end=None)
    except BadInput:
        return
    if isinstance(result, TimeEntry):
        assert result.ended_at - result.started_at == hours_to_seconds(result.hours) > 0
        assert result.hours >= result.raw_hours
        assert result.rate > 0
        assert result.client_ref


def test_recorded_webhooks_end_with_what_their_last_state_calls_for() -> None:
    """Of all recorded work only one task, one story and one issue are billed in the end."""
    effective = rules({"billable_types": ["task", "userstory", "issue"]})
    last: dict[tuple[str, int], TimeEntry | NotBillable] = {}
    for webhook in taiga_webhooks():
        if webhook.payload["type"] in KINDS:
            item = read_webhook(webhook.payload)
            last[item.kind, item.id] = plan_time(item, effective, existing_end=None)
    billed = {found.number: found for found in last.values() if isinstance(found, TimeEntry)}
    assert {number: (str(found.hours), str(found.rate), found.client_ref) for number, found in billed.items()} == {
        "TAIGA-T1": ("8", "120.00", "acme-001"),
        "TAIGA-US2": ("10", "95.50", "acme-001"),
        "TAIGA-I1": ("2", "75.00", "acme"),
    }
    reasons = [found.reason for found in last.values() if isinstance(found, NotBillable)]
    assert set(reasons) == {"deleted in Taiga", "not closed", "not marked billable"}
