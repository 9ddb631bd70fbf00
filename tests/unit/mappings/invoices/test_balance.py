"""The balance of hours adds up whatever stands where, and notices each record that is missing, doubled or changed."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.invoiceninja.settings import Rounding
from mappings.invoiceninja.tasks import LogEntry
from mappings.invoices.balance import (
    CREDIT_WAITS,
    BillingLine,
    Books,
    ClosedWork,
    Credit,
    HourBalance,
    PresentTask,
    RecordedEntry,
    Stand,
    balance,
    known_works,
    stand_of,
)
from mappings.invoices.balance_json import balance_as_json, balance_in_words
from mappings.invoices.splitting import kept_log

_SPAN = ((1765350000, 1765368000),)
_PLACES = ("billed", "billable", "left_out", "cancelled", "deleted", "purged", "no_line", "archived_line")


class _Records:
    """Both sides of a balance, entry by entry, as Invoice Ninja and the store would give them."""

    def __init__(self, drawn: list[tuple[int, str, int]]) -> None:
        self.works: dict[str, ClosedWork] = {}
        self.entries: list[RecordedEntry] = []
        self.tasks: dict[str, PresentTask] = {}
        self.lines: dict[str, list[BillingLine]] = {}
        self.billable: dict[str, Decimal] = {}
        self.left_out: dict[str, str] = {}
        for count, (work, place, hours) in enumerate(drawn):
            self._add(f"t{count}", f"taiga:task:{work}", place, Decimal(hours))

    def _add(self, task_id: str, subject: str, place: str, hours: Decimal) -> None:
        known = self.works.get(subject) or ClosedWork(subject, subject, f"c{subject[-1]}", Decimal(0))
        self.works[subject] = replace(known, hours=known.hours + hours)
        self.entries.append(RecordedEntry(subject, f"N-{task_id}", task_id, known.client_id, hours, _SPAN))
        invoice_id = "i1" if place in {"billed", "cancelled", "no_line"} else ""
        is_deleted = place == "deleted"
        if place != "purged":
            self.tasks[task_id] = PresentTask(task_id, known.client_id, invoice_id, hours, _SPAN, is_deleted=is_deleted)
        if place in {"billed", "cancelled", "archived_line"}:
            self.lines[task_id] = [BillingLine("i1", "0001", hours, is_cancelled=place == "cancelled")]
        if place == "billable":
            self.billable[task_id] = hours
        if place == "left_out":
            self.left_out[task_id] = "it is archived in Invoice Ninja"

    def balance(self) -> HourBalance:
        """Both sides added up."""
        books = Books(self.lines, self.billable, self.left_out)
        placed = [one for entry in self.entries for one in stand_of(entry, self.tasks.get(entry.task_id), books)]
        return balance(self.works.values(), placed)


DRAWN = st.lists(st.tuples(st.integers(1, 4), st.sampled_from(_PLACES), st.integers(1, 40)), min_size=1, max_size=20)


@given(DRAWN)
def test_every_hour_is_found(drawn: list[tuple[int, str, int]]) -> None:
    """Wherever entries stand, closed hours are the sum of all places, for each client and in all."""
    found = _Records(drawn).balance()
    assert not found.mismatches
    assert all(one.difference == 0 for one in found.clients)
    assert sum(one.closed for one in found.clients) == sum(hours for _work, _place, hours in drawn)
    billed = sum(hours for _work, place, hours in drawn if place in {"billed", "archived_line"})
    assert sum(one.billed for one in found.clients) == billed
    waiting = sum(hours for _work, place, hours in drawn if place in {"cancelled", "deleted", "purged", "no_line"})
    assert sum(one.hours for one in found.waiting) == waiting


def _forget_entry(records: _Records, chosen: RecordedEntry, _data: Any) -> None:
    records.entries.remove(chosen)


def _forget_work(records: _Records, chosen: RecordedEntry, _data: Any) -> None:
    del records.works[chosen.subject]


def _bill_twice(records: _Records, chosen: RecordedEntry, _data: Any) -> None:
    line = BillingLine("i2", "0002", chosen.hours)
    records.lines.setdefault(chosen.task_id, []).append(line)
    if len([one for one in records.lines[chosen.task_id] if not one.is_cancelled]) == 1:
        records.lines[chosen.task_id].append(replace(line, invoice_id="i3"))


def _change_line(records: _Records, chosen: RecordedEntry, data: Any) -> None:
    more = data.draw(st.sampled_from([Decimal("0.02"), Decimal(-1) * chosen.hours, Decimal(7)]))
    records.lines[chosen.task_id] = [BillingLine("i1", "0001", chosen.hours + more)]


def _change_taiga(records: _Records, chosen: RecordedEntry, data: Any) -> None:
    work = records.works[chosen.subject]
    more = data.draw(st.sampled_from([Decimal("0.001"), -work.hours, Decimal(3)]))
    records.works[chosen.subject] = replace(work, hours=work.hours + more)


@pytest.mark.parametrize("break_it", [_forget_entry, _forget_work, _bill_twice, _change_line, _change_taiga])
@given(drawn=DRAWN, data=st.data())
def test_every_broken_record_is_noticed(break_it: Any, drawn: list[tuple[int, str, int]], data: Any) -> None:
    """A record that is lost, doubled or changed on one side makes a difference that names the work and no other."""
    records = _Records(drawn)
    chosen = data.draw(st.sampled_from(records.entries))
    break_it(records, chosen, data)
    found = records.balance()
    assert found.difference > 0
    assert [one.subject for one in found.mismatches] == [chosen.subject]
    assert any(one.difference != 0 for one in found.clients)


def test_what_only_invoice_ninja_rounded_is_no_difference() -> None:
    """The plan bills 5 h as they were sent, whatever the task shows; hours that a person changed are named."""
    entry = RecordedEntry("s", "N", "t", "c", Decimal(5), _SPAN)
    books = Books({}, {"t": Decimal(5)}, {})
    (placed,) = stand_of(entry, PresentTask("t", "c", "", Decimal(4), _SPAN), books)
    assert placed.hours == 5
    assert placed.stand is Stand.BILLABLE
    changed = stand_of(entry, PresentTask("t", "c", "", Decimal(4), ()), Books({}, {"t": Decimal(4)}, {}))
    assert {one.stand: int(one.hours) for one in changed} == {Stand.BILLABLE: 4, Stand.LEFT_OUT: 1}


def test_a_person_s_line_may_be_rounded() -> None:
    """A quantity within a hundredth bills the hours of the entry; ours are those that we remember."""
    entry = RecordedEntry("s", "N", "t", "c", Decimal("1.6833"), _SPAN)
    task = PresentTask("t", "c", "i", Decimal("1.6833"), _SPAN)
    (by_hand,) = stand_of(entry, task, Books({"t": [BillingLine("i", "0001", Decimal("1.683"))]}, {}, {}))
    assert by_hand.hours == entry.hours
    grouped = Books({"t": [BillingLine("i", "0001", Decimal(0))]}, {}, {}, {("N", "i"): Decimal("1.6833")})
    assert stand_of(entry, task, grouped)[0].hours == entry.hours


def test_an_entry_that_was_removed_counts_nothing() -> None:
    """What we took away because the work is not billable any more stands nowhere, deleted or gone."""
    entry = RecordedEntry("s", "N", "t", "c", Decimal(5), _SPAN, is_removed=True)
    gone = PresentTask("t", "c", "", Decimal(5), _SPAN, is_deleted=True)
    assert stand_of(entry, gone, Books({}, {}, {})) == []
    assert stand_of(entry, None, Books({}, {}, {})) == []


def test_what_people_decide_about() -> None:
    """Open credits wait, settled ones explain what was billed too much; older work is known by its entries."""
    entries = [RecordedEntry("a", "A", "1", "c", Decimal(2)), RecordedEntry("a", "A-2", "2", "c", Decimal(1))]
    entries += [RecordedEntry("b", "B", "3", "c", Decimal(9), is_removed=True)]
    closed = [ClosedWork("o", "#1", "c", Decimal(3)), ClosedWork("p", "#2", "c", Decimal(3))]
    credits_ = {
        "o": Credit(Decimal(2), is_open=True),
        "p": Credit(Decimal(2), is_settled=True),
        "a": Credit(Decimal(2)),
        "x": Credit(Decimal(2), is_open=True),
    }
    works = {work.subject: work for work in known_works(closed, entries, credits_)}
    assert works["o"].is_waiting == CREDIT_WAITS
    assert [int(works["p"].settled), int(works["a"].hours)] == [2, 3]
    assert works.keys() == {"o", "p", "a"}
    assert works["a"].name == "A"


def test_in_words_and_as_json() -> None:
    """A sentence for the overview, and everything for programs: hours are text, without zeros that say nothing."""
    records = _Records([(1, "billed", 20), (1, "cancelled", 3), (2, "left_out", 4), (2, "billable", 5)])
    assert balance_in_words(records.balance()) == "32 h of 2 clients add up"
    first, second = balance_as_json(records.balance())["clients"]
    assert first["waiting"] == {"invoice 0001 was cancelled": "3"}
    assert second == {
        "client_id": "c2",
        "closed": "9",
        "billed": "0",
        "billable": "5",
        "left_out": {"it is archived in Invoice Ninja": "4"},
        "waiting": {},
        "difference": "0",
    }
    _bill_twice(records, records.entries[0], None)
    found = records.balance()
    assert balance_in_words(found).startswith("20 h of 1 task do not add up")
    (off,) = balance_as_json(found)["mismatches"]
    assert (off["closed"], off["found"], off["entries"][0]["stand"]) == ("23", "43", "billed")


def test_a_log_that_is_sent_again() -> None:
    """Rounding down makes nothing of exactly one step: it is sent a second longer; other logs are sent as they are."""
    log = (LogEntry(0, 900), LogEntry(900, 2700))
    assert kept_log(log, Rounding(900)) == (LogEntry(0, 901), LogEntry(900, 2700))
    assert kept_log(log, Rounding(900, is_up=True)) == kept_log(log, Rounding()) == log
