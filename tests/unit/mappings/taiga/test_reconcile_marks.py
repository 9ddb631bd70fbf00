"""Marks of Taiga items: equal for equal content however it was told, and the webhook that Taiga never sent."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.taiga.fingerprint import as_webhook, content_mark, row_mark
from mappings.taiga.models import WorkItem, WorkKind
from mappings.taiga.webhook import describe, is_own_echo, read_webhook
from middleware.clients.http.json_codec import read_json, write_json

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STATUS = "Invoice Status"
ITEM = WorkItem(
    kind="task",
    id=7,
    ref=3,
    subject="Build the form",
    permalink="https://taiga.example/project/acme/task/3",
    project_id=1,
    project_name="Acme",
    is_closed=True,
    changed_at=NOW,
    finished_at=NOW,
    assignee="ada",
    attributes={"Billable": True, "Duration (Hours)": Decimal("4.5")},
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.text()
)
values = st.dictionaries(st.text(min_size=1), st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=5)
items = st.builds(
    lambda kind, closed, finished, assignee, attributes: replace(
        ITEM, kind=kind, is_closed=closed, finished_at=finished, assignee=assignee, attributes=attributes
    ),
    st.sampled_from(["task", "userstory", "issue"]),
    st.booleans(),
    st.one_of(st.none(), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001 - bounds are naive
    st.one_of(st.none(), st.from_regex(r"[a-z]{1,9}", fullmatch=True)),
    values,
)


@given(items)
def test_the_made_webhook_tells_the_item(item: WorkItem) -> None:
    """Written as JSON and read like any webhook, it has the same content; numbers keep every digit."""
    payload = read_json(write_json(as_webhook(item, NOW)))
    told = read_webhook(payload)
    assert told.changed_at == NOW
    assert (told.kind, told.id, told.ref, told.is_closed) == (item.kind, item.id, item.ref, item.is_closed)
    assert (told.permalink, told.assignee, told.finished_at) == (item.permalink, item.assignee, item.finished_at)
    clean = {key: value for key, value in (item.attributes or {}).items() if not _has_surrogates(key, value)}
    if len(clean) == len(item.attributes or {}):
        assert content_mark(told, STATUS) == content_mark(item, STATUS)


def _has_surrogates(*parts: Any) -> bool:
    try:
        repr(parts).encode()
        "".join(part for part in parts if isinstance(part, str)).encode()
    except UnicodeEncodeError:
        return True
    return False


@pytest.mark.parametrize("kind", ["task", "userstory", "issue"])
def test_what_is_gone_is_told_as_deleted(kind: WorkKind) -> None:
    """A deleted item has no attributes, and its event says so; neither is ever an echo of our own."""
    payload = as_webhook(replace(ITEM, kind=kind, is_deleted=True, attributes=None), NOW)
    assert describe(payload).type == f"{kind}.delete"
    told = read_webhook(payload)
    assert (told.is_deleted, told.attributes) == (True, None)
    living = as_webhook(replace(ITEM, kind=kind), NOW)
    assert describe(living).type == f"{kind}.reconcile"
    assert describe(living).occurred_at == NOW
    assert not is_own_echo(living, 1, STATUS)


@pytest.mark.parametrize(
    ("one", "other"),
    [(2, Decimal("2.0")), (Decimal("4.50"), Decimal("4.5")), (0, Decimal("-0.00")), (100, Decimal("1E+2")), (2, 2.0)],
)
def test_equal_numbers_have_equal_marks(one: Any, other: Any) -> None:
    """2 is 2.0, as for Taiga, and for people."""
    assert _marked(one) == _marked(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, "1"),
        (20, 2),
        (Decimal("0.5"), Decimal("0.05")),
        (-1, 1),
        ([1], [2]),
        ("", 0),
        ({"a": 1}, {"a": 2}),
    ],
)
def test_different_values_have_different_marks(one: Any, other: Any) -> None:
    """A number is not a text, and ten times as much is not the same."""
    assert _marked(one) != _marked(other)


def test_nested_values() -> None:
    """Taiga stores any JSON: it counts, too."""
    assert _marked({"a": [1, 2.0]}) == _marked({"a": [1, 2]})
    assert _marked({"a": 1}) != _marked({"a": 2})


def test_our_own_attribute_and_empty_ones_do_not_count() -> None:
    """What the bridge wrote, or nobody filled in, is no news."""
    plain = content_mark(ITEM, STATUS)
    own = replace(ITEM, attributes={**(ITEM.attributes or {}), STATUS: "Invoiced", "Hourly Rate": None})
    assert content_mark(own, STATUS) == plain
    assert content_mark(own, "Another") != plain


def test_what_a_drag_changes_is_asked_about_but_no_news() -> None:
    """`modified_date` moves: the row has to be looked at, its content is the same."""
    dragged = replace(ITEM, changed_at=NOW + timedelta(minutes=1), permalink="")
    assert row_mark(dragged) != row_mark(ITEM)
    assert content_mark(dragged, STATUS) == content_mark(ITEM, STATUS)


@pytest.mark.parametrize(
    "change",
    [{"is_closed": False}, {"subject": "Other"}, {"project_id": 2}, {"assignee": None}, {"finished_at": None}],
)
def test_every_fact_that_is_billed_by_counts(change: dict[str, Any]) -> None:
    """Another one makes another mark, of the row and of the content."""
    assert row_mark(replace(ITEM, **change)) != row_mark(ITEM)
    assert content_mark(replace(ITEM, **change), STATUS) != content_mark(ITEM, STATUS)


def test_what_is_gone_is_gone_however_it_stood() -> None:
    """The mark of a deleted item tells only that: what it was told last does not make it another."""
    gone = replace(ITEM, is_deleted=True, attributes=None)
    assert content_mark(gone, STATUS) == content_mark(replace(gone, subject="Other", is_closed=False), STATUS)
    assert content_mark(gone, STATUS) != content_mark(ITEM, STATUS)


def _marked(value: Any) -> str:
    return content_mark(replace(ITEM, attributes={"Duration (Hours)": value}), STATUS)
