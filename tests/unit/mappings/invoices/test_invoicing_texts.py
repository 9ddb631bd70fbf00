"""What customers read on the lines: no reserved words, and no day on which nobody worked."""

from decimal import Decimal

from mappings.invoiceninja.tasks import LogEntry
from mappings.invoices.models import PlannedInvoice, TimeLink
from mappings.invoices.plan import plan
from tests.unit.mappings.invoices.test_invoicing_plan import HOUR, MIDDLE, mapping, task, work

CLOSED = MIDDLE + 9 * HOUR


def _from_taiga(count: int, hours: int, *, changed: bool = False) -> tuple[PlannedInvoice, str]:
    """The invoice for hours that were closed at one moment, and the notes of its first line."""
    started = CLOSED - hours * HOUR
    stored = () if changed else ((started, CLOSED),)
    link = TimeLink("taiga:task:1", Decimal(hours), Decimal(hours), stored, "ann")
    one = task(count, log=(LogEntry(started, CLOSED),), number="TAIGA-T1")
    (invoice,) = plan(work(one, links={one.id: link}), mapping()).invoices
    return invoice, invoice.lines[0].notes


def test_hours_of_weeks_show_the_day_on_which_they_were_closed() -> None:
    """80 h closed in one morning are not shown as nights and a Sunday: the times of the entry are made up."""
    invoice, notes = _from_taiga(1, 80)
    assert notes == "Work 1\n2025-12-11, ann"
    assert not invoice.entries[0].has_clock_times


def test_times_that_a_person_entered_are_shown() -> None:
    """Somebody changed the log in Invoice Ninja: from then on its times are real."""
    invoice, notes = _from_taiga(1, 80, changed=True)
    assert notes == "Work 1\n2025-12-08 to 2025-12-11, ann"
    assert invoice.entries[0].has_clock_times


def test_a_line_for_each_day() -> None:
    """What was closed on a day stands apart from what was worked on it: 87 h are never those of one day."""
    links = {
        f"t{count:04}": TimeLink(f"taiga:task:{count}", Decimal(hours), stored_log=((CLOSED - hours * HOUR, CLOSED),))
        for count, hours in ((1, 80), (2, 7))
    }
    closed = [task(count, log=(LogEntry(CLOSED - hours * HOUR, CLOSED),)) for count, hours in ((1, 80), (2, 7))]
    own = task(3, log=(LogEntry(CLOSED - HOUR, CLOSED),))
    (invoice,) = plan(work(*closed, own, links=links), mapping(group_by="day")).invoices
    titles = [(line.notes.partition("\n")[0], line.quantity) for line in invoice.lines if line.quantity]
    assert titles == [("2025-12-11", Decimal("1.000")), ("closed 2025-12-11", Decimal("87.000"))]


def test_subjects_are_inert() -> None:
    """Words that Invoice Ninja would fill in, and markup, stay what people typed."""
    (invoice,) = plan(work(task(1, description="List<String> of :YEAR")), mapping(group_by="none")).invoices
    assert "List<\u2060String> of :\u2060YEAR" in invoice.lines[0].notes
