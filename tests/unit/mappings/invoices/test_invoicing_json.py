"""Plans as JSON and logs of time as Invoice Ninja writes them: nothing is lost, nonsense is nothing."""

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.invoiceninja.models import Tax
from mappings.invoiceninja.task_log import read_log, write_log
from mappings.invoiceninja.tasks import LogEntry
from mappings.invoices.models import Entry, InvoicePlan, LeftOut, Line, PlannedInvoice, Terms, Totals
from mappings.invoices.period import parse_period
from mappings.invoices.plan_json import invoice_as_json, invoice_from_json, period_from_json, plan_as_json

PERIOD = parse_period("2025-12", "Europe/Brussels")
TEXTS = st.text(max_size=8)
MONEY = st.decimals(0, 10**7, places=2)
TAXES = st.lists(st.builds(Tax, TEXTS, st.decimals(0, 100, places=3)), max_size=2).map(tuple)
DAYS = st.dates(date(2020, 1, 1), date(2040, 1, 1))
ENTRIES = st.builds(
    Entry,
    **dict.fromkeys(("task_id", "number", "client_id", "project_id", "project", "description", "person"), TEXTS),
    first_day=DAYS,
    day=DAYS,
    seconds=st.integers(0, 10**6),
    rate=MONEY,
    taxes=TAXES,
    product_key=TEXTS,
    raw_hours=st.one_of(st.none(), st.decimals(0, 100, places=4)),
    subject=TEXTS,
    split_at=st.integers(0, 2**31),
)
LINES = st.builds(Line, TEXTS, TEXTS, st.decimals(0, 1000, places=3), MONEY, TAXES, TEXTS)
TOTALS = st.builds(
    Totals, MONEY, MONEY, st.lists(st.tuples(st.builds(Tax, TEXTS, MONEY), MONEY)).map(tuple), MONEY, MONEY
)
INVOICES = st.builds(
    PlannedInvoice,
    **dict.fromkeys(("client_id", "client_name", "scope", "project_id", "approval"), TEXTS),
    currency=st.sampled_from(["EUR", "JPY"]),
    precision=st.integers(0, 3),
    entries=st.lists(ENTRIES, max_size=3).map(tuple),
    lines=st.lists(LINES, max_size=3).map(tuple),
    totals=TOTALS,
    terms=st.builds(Terms, TEXTS, TEXTS, TEXTS, st.just("custom_value4"), discount=MONEY, notes=TEXTS),
)
LOGS = st.lists(
    st.builds(LogEntry, st.integers(0, 2**33), st.integers(0, 2**33), st.text(max_size=9), st.booleans()), max_size=4
).map(tuple)


@settings(max_examples=50)
@given(INVOICES)
def test_a_planned_invoice_comes_back_as_it_was(invoice: PlannedInvoice) -> None:
    """Stored and read again, every amount, day and line is the same, to the last digit."""
    assert invoice_from_json(json.loads(json.dumps(invoice_as_json(invoice)))) == invoice


@settings(max_examples=25)
@given(st.lists(INVOICES, max_size=2).map(tuple), st.lists(st.builds(LeftOut, *[TEXTS] * 3, st.integers(), TEXTS)))
def test_a_plan_for_programs(invoices: tuple[PlannedInvoice, ...], left_out: list[LeftOut]) -> None:
    """`--json` tells the whole plan: the period by name and days, money as text, never as a binary fraction."""
    plan = InvoicePlan("p-1", PERIOD, invoices, tuple(left_out), ("a warning",))
    told = json.loads(json.dumps(plan_as_json(plan)))
    assert told["period"] == {
        "name": "2025-12",
        "first": "2025-12-01",
        "last": "2025-12-31",
        "timezone": "Europe/Brussels",
    }
    assert period_from_json(told["period"]) == PERIOD
    assert [invoice_from_json(one) for one in told["invoices"]] == list(invoices)
    assert (len(told["left_out"]), told["warnings"]) == (len(left_out), ["a warning"])
    assert not [value for value in _leaves(told) if isinstance(value, float)]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


@given(LOGS)
def test_a_log_comes_back_as_it_was(log: tuple[LogEntry, ...]) -> None:
    """Written as Invoice Ninja takes it and read again: no second and no word is lost."""
    assert read_log(write_log(log)) == log


NO_TEXTS: tuple[Any, ...] = (None, 7, True, {}, [], [7], [[]], [["1", 2]], [[True, 2]])
NO_LOGS = ("", "[", "nonsense", '"text"', "7", "{}", "[]", "[[]]", '[["1", 2]]', "[" * 100_000)


@pytest.mark.parametrize("log", [*NO_TEXTS, *NO_LOGS], ids=lambda log: repr(log)[:12])
def test_what_is_no_log(log: Any) -> None:
    """Whatever else stands in its place is not a time, and stops nobody."""
    assert read_log(log) == ()


def test_what_an_entry_leaves_out() -> None:
    """Without an end it runs; without more it is billable; other words for true count."""
    assert read_log("[[5]]") == (LogEntry(5, 0),)
    assert read_log([[5, 9, None, "true"], [9, 12, 7, "no"]]) == (LogEntry(5, 9), LogEntry(9, 12, is_billable=False))


def test_amounts_keep_their_digits() -> None:
    """1.50 stays 1.50, days are ISO dates: people compare plans by eye."""
    vat = Tax("VAT", Decimal("21.00"))
    line = Line("t", "Work", Decimal("1.500"), Decimal("80.00"), (vat,))
    totals = Totals(Decimal("120.00"), Decimal(0), ((vat, Decimal("25.20")),), Decimal("25.20"), Decimal("145.20"))
    day = date(2025, 12, 10)
    entry = Entry("t", "1", "a", "", "", "Work", "ann", day, day, 5400, Decimal("80.00"), (vat,), "", Decimal("1.4"))
    terms = Terms("net30", "today", "UTC", "custom_value4")
    invoice = PlannedInvoice("a", "Acme", "", "", "EUR", 2, (entry,), (line,), totals, terms, "review")
    told = plan_as_json(InvoicePlan("p-1", PERIOD, (invoice,)))
    (one,) = told["invoices"]
    assert (one["lines"][0]["quantity"], one["totals"]["total"]) == ("1.500", "145.20")
    assert one["totals"]["taxes"] == [[{"name": "VAT", "rate": "21.00"}, "25.20"]]
    assert (one["entries"][0]["day"], one["entries"][0]["raw_hours"]) == ("2025-12-10", "1.4")
    assert invoice_from_json(one) == invoice
