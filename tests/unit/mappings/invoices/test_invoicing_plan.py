"""Plans: properties that no rule set may break, and the reasons for what is left out."""

import json
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappings.config.file import MappingFile, parse_mapping
from mappings.invoiceninja.models import Company, Currency, NinjaClient, Project, Statics
from mappings.invoiceninja.tasks import LogEntry, Task
from mappings.invoices.difference import difference
from mappings.invoices.models import CreditProposal, InvoicePlan, PeriodWork, TimeLink, Unresolved
from mappings.invoices.period import parse_period
from mappings.invoices.plan import plan
from mappings.invoices.plan_json import invoice_as_json, invoice_from_json
from mappings.invoices.splitting import split_log

PERIOD = parse_period("2025-12", "Europe/Brussels")
NEXT = parse_period("2026-01", "Europe/Brussels")
MIDDLE = PERIOD.starts_at + 10 * 86400
HOUR = 3600
CURRENCIES = {"1": Currency("1", "USD", 2), "3": Currency("3", "EUR", 2), "7": Currency("7", "JPY", 0)}


def company(**changes: Any) -> Company:
    """A company that leaves times as they are."""
    kept = Company("c", "Us", "1", "1", "off", False, False, False, Decimal(0))  # noqa: FBT003 - a record
    return replace(kept, **changes)


def task(count: int, *, start: int = MIDDLE, hours: Decimal = Decimal(2), **changes: Any) -> Task:
    """An ended task of client a."""
    log = (LogEntry(start, start + int(hours * HOUR)),)
    made = Task(f"t{count:04}", f"{count:04}", "a", "", f"Work {count}", Decimal(80), log)
    return replace(made, **changes)


def work(*tasks: Task, **changes: Any) -> PeriodWork:
    """The clients a (USD), b (EUR) and j (JPY), with project p of a."""
    clients = {
        "a": NinjaClient("a", "0001", "Acme"),
        "b": NinjaClient("b", "0002", "Beta", currency_id="3"),
        "j": NinjaClient("j", "0003", "Jun", currency_id="7"),
    }
    projects = {"p": Project("p", "0001", "Site", "a", Decimal(50))}
    made = PeriodWork(PERIOD, tasks, clients, projects, company(), Statics(CURRENCIES, {}))
    return replace(made, **changes)


def mapping(**rules: Any) -> MappingFile:
    """All three clients are named; the rules are general."""
    return parse_mapping(json.dumps({"client_rules": {"a": {}, "b": {}, "j": {}}, "billing_rules": rules}))


RULES = st.fixed_dictionaries(
    {
        "group_by": st.sampled_from(["task", "project", "user", "day", "none"]),
        "invoice_per": st.sampled_from(["client", "project"]),
        "include": st.sampled_from(["all", "synced"]),
        "split_at_period_end": st.booleans(),
        "min_invoice_amount": st.sampled_from([0, 10, 500]),
        "inclusive_taxes": st.booleans(),
        "taxes": st.lists(
            st.sampled_from([{"name": "VAT", "rate": 21}, {"name": "GST", "rate": 7}]), max_size=2, unique_by=str
        ),
        "discount": st.sampled_from([None, {"kind": "percent", "value": 5}, {"kind": "amount", "value": 50}]),
    }
)
TASKS = st.lists(
    st.builds(
        lambda start, minutes, client, project, rate, ours: (start, minutes, client, project, rate, ours),
        st.integers(PERIOD.starts_at - 40 * 86400, PERIOD.ends_at + 5 * 86400),
        st.integers(0, 3000),
        st.sampled_from(["a", "b", "j", "gone"]),
        st.sampled_from(["", "p"]),
        st.sampled_from(["0", "33.333", "80", "120.50"]),
        st.booleans(),
    ),
    max_size=12,
)


def _tasks(drawn: list[tuple[int, int, str, str, str, bool]]) -> list[Task]:
    return [
        task(
            count,
            start=start,
            hours=Decimal(minutes) / 60,
            client_id=client,
            project_id=project if client == "a" else "",
            rate=Decimal(rate),
            number=f"TAIGA-T{count}" if ours else f"{count:04}",
        )
        for count, (start, minutes, client, project, rate, ours) in enumerate(drawn)
    ]


@settings(max_examples=150)
@given(rules=RULES, drawn=TASKS)
def test_no_rules_bill_an_hour_twice_or_drop_one(rules: dict[str, Any], drawn: list[Any]) -> None:
    """Each task's time is on one invoice, or left out, or behind the period: by the second, whatever the rules are."""
    tasks = _tasks(drawn)
    made = plan(work(*tasks), mapping(**rules))
    billed = Counter(entry.task_id for invoice in made.invoices for entry in invoice.entries)
    lines = Counter(line.task_id for invoice in made.invoices for line in invoice.lines)
    assert billed == lines
    assert all(times == 1 for times in billed.values())
    seconds = {entry.task_id: entry for invoice in made.invoices for entry in invoice.entries}
    behind = 0
    for one in tasks:
        entry = seconds.get(one.id)
        if entry is not None and entry.split_at:
            rest = split_log(one.log, entry.split_at)[1]
            behind += sum(part.ended_at - part.started_at for part in rest)
        elif entry is None and one.started_at >= PERIOD.ends_at:
            behind += one.seconds
    left_out = sum(one.seconds for one in made.left_out)
    refused_parts = sum(one.seconds for one in tasks) - left_out - behind - sum(e.seconds for e in seconds.values())
    # An invoice that is not made leaves the parts before the border out; what lies behind it is not told.
    assert refused_parts == 0 or (rules["split_at_period_end"] and refused_parts > 0)


@settings(max_examples=150)
@given(rules=RULES, drawn=TASKS)
def test_sums(rules: dict[str, Any], drawn: list[Any]) -> None:
    """The total is the lines' sum less discount plus taxes; quantities are within 1.8 s a line of the time."""
    for invoice in plan(work(*_tasks(drawn)), mapping(**rules)).invoices:
        unit = Decimal(1).scaleb(-invoice.precision)
        amounts = [(line.quantity * line.cost).quantize(unit, "ROUND_HALF_UP") for line in invoice.lines]
        totals = invoice.totals
        assert totals.subtotal == sum(amounts)
        assert sum(amount for _tax, amount in totals.taxes) == totals.total_taxes
        added = Decimal(0) if invoice.terms.inclusive_taxes else totals.total_taxes
        assert totals.total == (totals.subtotal - totals.discount + added).quantize(unit, "ROUND_HALF_UP")
        hours = sum((line.quantity for line in invoice.lines), Decimal(0))
        assert abs(hours * HOUR - invoice.seconds) <= Decimal("1.8") * len(invoice.lines)
        assert all(line.quantity == line.quantity.quantize(Decimal("0.001")) for line in invoice.lines)
        assert invoice_from_json(json.loads(json.dumps(invoice_as_json(invoice)))) == invoice


@given(rules=RULES, drawn=TASKS, order=st.randoms())
def test_the_id_is_of_the_content(rules: dict[str, Any], drawn: list[Any], order: Any) -> None:
    """The order in which tasks are read changes nothing; equal plans have equal ids and no difference."""
    tasks = _tasks(drawn)
    first = plan(work(*tasks), mapping(**rules))
    order.shuffle(tasks)
    second = plan(work(*tasks), mapping(**rules))
    assert first.id == second.id
    assert not difference(first, second)


@given(drawn=TASKS, border=st.integers(PERIOD.starts_at - 40 * 86400, PERIOD.ends_at + 5 * 86400))
def test_splitting_conserves_time(drawn: list[Any], border: int) -> None:
    """Both parts of a log together are the log; nothing of one part lies on the other side."""
    log = tuple(sorted((entry for one in _tasks(drawn) for entry in one.log), key=lambda entry: entry.started_at))
    before, after = split_log(log, border)
    whole = sum(entry.ended_at - entry.started_at for entry in log)
    assert sum(entry.ended_at - entry.started_at for entry in (*before, *after)) == whole
    assert all(entry.ended_at <= border for entry in before)
    assert all(entry.started_at >= border for entry in after)


def _only(made: InvoicePlan) -> str:
    (one,) = made.left_out
    assert not made.invoices
    return one.reason


def test_a_running_timer() -> None:
    """Time that still grows is not billed."""
    assert _only(plan(work(task(1, log=(LogEntry(MIDDLE, 0),))), mapping())) == "its timer is running"


def test_no_rate() -> None:
    """No rate is never 0; the project's or the configured one steps in."""
    free = task(1, rate=Decimal(0))
    assert _only(plan(work(free), mapping())) == "no rate"
    assert plan(work(free), mapping(default_hourly_rate=10)).invoices[0].totals.total == Decimal("20.00")
    assert plan(work(replace(free, project_id="p")), mapping()).invoices[0].totals.total == Decimal("100.00")


def test_time_that_is_not_billable() -> None:
    """Stretches that a person marked as not billable do not count."""
    log = (LogEntry(MIDDLE, MIDDLE + HOUR, "", is_billable=False), LogEntry(MIDDLE + HOUR, MIDDLE + 2 * HOUR))
    assert plan(work(task(1, log=log)), mapping()).invoices[0].seconds == HOUR
    assert _only(plan(work(task(1, log=log[:1])), mapping())) == "it has no billable time"


def test_small_sums_wait() -> None:
    """What is below the minimum is carried over, and said so."""
    assert _only(plan(work(task(1)), mapping(min_invoice_amount=200))).startswith(
        "160.00 USD is below min_invoice_amount"
    )


def test_currencies() -> None:
    """A client of another currency than the rates are in is left out; yen have no decimals."""
    assert _only(plan(work(task(1, client_id="b")), mapping(currency="USD"))).startswith("currency conflict")
    (invoice,) = plan(work(task(1, client_id="j", rate=Decimal("80.30"))), mapping()).invoices
    assert (invoice.currency, invoice.totals.total) == ("JPY", Decimal(161))


def test_events_that_are_not_done() -> None:
    """Time of an item with an unfinished event waits; other unfinished events of the client are told."""
    mapped = parse_mapping(
        json.dumps({"project_mappings": [{"taiga_project_id": 5, "invoiceninja_client_id": "0001"}]})
    )
    links = {"t0001": TimeLink("taiga:task:1", taiga_project_id=5)}
    events = [
        Unresolved(9, "taiga:task:1", "retrying", "#1: Work", "no answer", "", 5),
        Unresolved(10, "taiga:task:2", "dead", "#2: Other", "bad hours", "type hours", 5),
    ]
    made = plan(work(task(1), links=links, unresolved=events), mapped)
    assert [(one.client_name, one.reason, one.hint) for one in made.left_out] == [
        ("Acme", "event 10 is not done (dead: bad hours)", "type hours"),
        ("Acme", "event 9 about it is not done (retrying: no answer)", ""),
    ]


def test_people_s_own_hours() -> None:
    """Hours entered in Invoice Ninja are billed for clients that are named, unless only synced ones are wanted."""
    assert len(plan(work(task(1)), mapping()).invoices) == 1
    assert _only(plan(work(task(1)), mapping(include="synced"))) == "include is synced for this client"
    assert _only(plan(work(task(1), task(2)), parse_mapping("{}"))) == "mappings.json does not name this client"


def test_a_currency_that_invoice_ninja_does_not_have() -> None:
    """A client in a currency without a name there cannot be billed, and the plan says which one it is."""
    strange = work(task(1, client_id="b"), clients={"b": NinjaClient("b", "0002", "Beta", currency_id="999")})
    assert _only(plan(strange, mapping())) == 'currency conflict: Invoice Ninja has no currency "999"'


def test_time_too_short_for_an_invoice() -> None:
    """A line has three decimals: less than 1.8 seconds would be a line over nothing."""
    assert _only(plan(work(task(1, log=(LogEntry(MIDDLE, MIDDLE + 1),))), mapping())) == "it is shorter than 0.001 h"
    assert plan(work(task(1, log=(LogEntry(MIDDLE, MIDDLE + 2),))), mapping()).invoices[0].seconds == 2


def test_a_second_before_midnight_waits_for_its_period() -> None:
    """Too short to be divided, all of it is billed with the period in which it ends, and nothing is said before."""
    night = task(1, start=PERIOD.ends_at - 1)
    rules = mapping(split_at_period_end=True)
    made = plan(work(night), rules)
    assert (made.invoices, made.left_out) == ((), ())
    assert plan(work(night, period=NEXT), rules).invoices[0].seconds == 2 * HOUR


def test_what_is_no_unbilled_work_of_the_period() -> None:
    """Deleted, archived, billed, empty or later tasks are no part of a plan, and need no word."""
    tasks = [
        task(1, is_deleted=True),
        task(2, is_archived=True),
        task(3, invoice_id="i"),
        task(4, log=()),
        task(5, start=PERIOD.ends_at),
    ]
    made = plan(work(*tasks), mapping())
    assert (made.invoices, made.left_out) == ((), ())


def test_ours_without_a_client() -> None:
    """An entry of ours whose client was deleted waits, and the plan says what to do."""
    deleted = {"a": NinjaClient("a", "0001", "Acme", is_deleted=True)}
    made = plan(work(task(1, number="TAIGA-T1"), clients=deleted), mapping())
    assert _only(made) == "it has no client"
    assert "restore the client" in made.left_out[0].hint


def test_credits_are_not_billed() -> None:
    """A credit that waits for a person is told, nothing else."""
    made = plan(work(credits=[CreditProposal("taiga:task:3", "credit 1 h?", "a")]), mapping())
    assert _only(made) == "a credit waits for a person: credit 1 h?"


def test_rounding_by_invoice_ninja() -> None:
    """Hours that Invoice Ninja rounded are billed as sent, with a warning; changed ones as they are."""
    stored = ((MIDDLE, MIDDLE + 2 * HOUR),)
    link = TimeLink("taiga:task:1", Decimal("1.5"), Decimal("1.4"), stored, "ann")
    made = plan(
        work(
            task(1),
            links={"t0001": link},
            company=company(settings={"task_round_to_nearest": HOUR, "task_round_up": True}),
        ),
        mapping(),
    )
    assert made.invoices[0].seconds == 5400
    assert [warning.split(":")[0] for warning in made.warnings] == [made.warnings[0].split(":")[0], "0001"]
    changed = plan(work(task(1), links={"t0001": replace(link, stored_log=())}), mapping())
    assert changed.invoices[0].seconds == 2 * HOUR
    assert "somebody changed it" in changed.warnings[0]


def test_the_end_of_the_period() -> None:
    """Work across midnight is billed where it ends, or divided there; work from before the period is billed, too."""
    across = task(1, start=PERIOD.ends_at - HOUR)
    assert _only(plan(work(across), mapping())) == "it ends after the period"
    assert plan(work(across, period=NEXT), mapping()).invoices[0].seconds == 2 * HOUR
    (invoice,) = plan(work(across), mapping(split_at_period_end=True)).invoices
    assert (invoice.seconds, invoice.entries[0].split_at) == (HOUR, PERIOD.ends_at)
    assert len(plan(work(task(1, start=PERIOD.starts_at - 50 * 86400)), mapping()).invoices) == 1


def test_rules_of_a_client_s_only_project() -> None:
    """The rules of a client's projects are the client's where they agree."""
    projects = [
        {
            "taiga_project_id": 1,
            "invoiceninja_client_id": "a",
            "payment_terms": "net14",
            "taxes": [{"name": "VAT", "rate": 1}],
        },
        {"taiga_project_id": 2, "invoiceninja_client_id": "0001", "payment_terms": "net14", "notes": "two"},
    ]
    mapped = parse_mapping(json.dumps({"project_mappings": projects}))
    links = {
        "t0001": TimeLink("taiga:task:1", taiga_project_id=1),
        "t0002": TimeLink("taiga:task:2", taiga_project_id=2),
    }
    (invoice,) = plan(work(task(1), task(2), links=links), mapped).invoices
    assert (invoice.terms.payment_terms, invoice.terms.notes) == ("net14", "")
    assert [len(line.taxes) for line in invoice.lines] == [1, 0]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            [task(1), task(2, hours=Decimal(3))],
            ["Acme: 320.00 USD for 4 h then, 400.00 USD for 5 h now", "0002: 2 h at 80 then, 3 h"],
        ),
        ([task(1)], ["320.00 USD", "0002 (2 h) is gone"]),
        ([task(1), task(2), task(3)], ["480.00 USD", "0003 (2 h) came in"]),
        ([task(1, description="Other"), task(2)], ["texts, taxes or terms changed"]),
        ([], ["the invoice of 320.00 USD for 4 h is not due any more"]),
    ],
)
def test_differences(changed: list[Task], told: list[str]) -> None:
    """What changed is told in sentences."""
    before = plan(work(task(1), task(2)), mapping())
    sentences = difference(before, plan(work(*changed), mapping()))
    assert len(sentences) == len(told)
    assert all(part.split(" then, 3 h")[0] in sentence for part, sentence in zip(told, sentences, strict=True))


def test_the_same_plan_again() -> None:
    """Planned twice, nothing differs."""
    assert difference(plan(work(task(1)), mapping()), plan(work(task(1)), mapping())) == []


def test_an_invoice_that_came_in() -> None:
    """What an earlier plan did not have is told as new."""
    empty, full = plan(work(), mapping()), plan(work(task(1)), mapping())
    assert difference(empty, full) == ["Acme: the invoice of 160.00 USD for 2 h is new"]
