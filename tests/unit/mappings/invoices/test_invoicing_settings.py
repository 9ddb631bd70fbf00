"""Invoice Ninja's settings for a client change what is billed, and the plan says where."""

from decimal import Decimal
from typing import Any

import pytest

from mappings.invoiceninja.models import NinjaClient, Tax
from mappings.invoiceninja.tasks import LogEntry
from mappings.invoices.models import InvoicePlan, TimeLink
from mappings.invoices.plan import plan
from tests.unit.mappings.invoices.test_invoicing_plan import HOUR, MIDDLE, PERIOD, company, mapping, task, work

QUARTER = HOUR // 4
ROUNDS_DOWN = {"task_round_to_nearest": QUARTER, "task_round_up": False}


def _clients(**settings: Any) -> dict[str, NinjaClient]:
    return {"a": NinjaClient("a", "0001", "Acme", settings=settings)}


def _warnings(made: InvoicePlan) -> str:
    return "\n".join(made.warnings)


def test_nothing_is_divided_where_invoice_ninja_rounds() -> None:
    """With the client's rounding on, work across the end of the period is billed where it ends, whole."""
    night = task(1, start=PERIOD.ends_at - HOUR)
    rules = mapping(split_at_period_end=True)
    (split,) = plan(work(night), rules).invoices
    assert split.entries[0].split_at == PERIOD.ends_at
    rounds = _clients(task_round_to_nearest=900, task_round_up=True)
    made = plan(work(night, clients=rounds), rules)
    assert (made.invoices, [one.reason for one in made.left_out]) == ((), ["it ends after the period"])
    grouped = {"a": NinjaClient("a", "0001", "Acme", group_id="g")}
    made = plan(work(night, clients=grouped, groups={"g": {"task_round_to_nearest": 900}}), rules)
    assert made.invoices == ()


def test_nothing_is_divided_twice() -> None:
    """A part that is over the border at which it was divided is not cut again, whatever moved it there."""
    night = task(1, start=PERIOD.ends_at - HOUR, number="TAIGA-T1")
    link = TimeLink("taiga:task:1", divided_at=PERIOD.ends_at)
    made = plan(work(night, links={"t0001": link}), mapping(split_at_period_end=True))
    assert (made.invoices, [one.reason for one in made.left_out]) == ((), ["it ends after the period"])


def test_a_quarter_that_was_rounded_to_nothing_is_billed_as_sent() -> None:
    """Invoice Ninja stored 0 of the 0.25 h that we sent: the customer pays 0.25 h, and the plan says why."""
    stored = ((MIDDLE, MIDDLE),)
    nothing = task(1, log=(LogEntry(MIDDLE, MIDDLE),), number="TAIGA-T1")
    link = TimeLink("taiga:task:1", Decimal("0.25"), Decimal("0.25"), stored)
    made = plan(work(nothing, links={"t0001": link}, clients=_clients(**ROUNDS_DOWN)), mapping())
    (invoice,) = made.invoices
    assert (invoice.seconds, invoice.totals.total) == (QUARTER, Decimal("20.00"))
    assert "TAIGA-T1: Invoice Ninja rounded 0.25 h to 0 h" in _warnings(made)


def test_time_that_is_nothing_is_never_to_be_deleted() -> None:
    """People's own time that rounding took away is explained; time without anything billable is named as such."""
    nothing = task(1, log=(LogEntry(MIDDLE, MIDDLE),))
    (one,) = plan(work(nothing, clients=_clients(**ROUNDS_DOWN)), mapping()).left_out
    assert one.reason == "Invoice Ninja rounded its time to nothing (down to 900 s (set at the client))"
    assert "switch the rounding off" in one.hint
    (other,) = plan(work(nothing), mapping()).left_out
    assert (other.reason, "delete" in other.hint) == ("it has no billable time", False)


def test_default_taxes_that_no_rule_names() -> None:
    """A client's default tax is warned of until a rule says something; "invoice_ninja" takes it over."""
    taxed = _clients(tax_name1="VAT", tax_rate1=21)
    silent = plan(work(task(1), clients=taxed), mapping())
    assert "Acme: Invoice Ninja's default tax is VAT 21 %" in _warnings(silent)
    assert silent.invoices[0].totals.total_taxes == 0
    for said in ([], [{"name": "VAT", "rate": 6}]):
        assert not plan(work(task(1), clients=taxed), mapping(taxes=said)).warnings
    made = plan(work(task(1), clients=taxed), mapping(taxes="invoice_ninja"))
    assert made.invoices[0].lines[0].taxes == (Tax("VAT", Decimal(21)),)
    assert (made.invoices[0].totals.total, made.warnings) == (Decimal("193.60"), ())
    none = plan(work(task(1)), mapping(taxes="invoice_ninja"))
    assert "finds no default tax" in _warnings(none)


@pytest.mark.parametrize(
    ("rules", "total", "warns"),
    [
        ({"taxes": "invoice_ninja"}, "160.00", False),
        ({"taxes": "invoice_ninja", "inclusive_taxes": False}, "193.60", False),
        ({"taxes": [{"name": "VAT", "rate": 21}]}, "193.60", True),
        ({"taxes": [{"name": "VAT", "rate": 21}], "inclusive_taxes": True}, "160.00", False),
    ],
)
def test_inclusive_taxes(rules: dict[str, Any], total: str, *, warns: bool) -> None:
    """What takes over Invoice Ninja's taxes takes over how they are counted; else the rule decides, or warns."""
    taxed = _clients(tax_name1="VAT", tax_rate1=21, inclusive_taxes=True)
    made = plan(work(task(1), clients=taxed), mapping(**rules))
    assert made.invoices[0].totals.total == Decimal(total)
    assert ("inclusive taxes" in _warnings(made)) is warns


def test_rappen() -> None:
    """The total goes to 0.05, and the plan says that it does."""
    odd = task(1, hours=Decimal("1.51"), rate=Decimal(60))
    made = plan(
        work(odd, clients=_clients(enable_rappen_rounding=True)), mapping(taxes=[{"name": "MWST", "rate": 8.1}])
    )
    assert made.invoices[0].totals.total == Decimal("97.95")
    assert "rounds totals to 0.05" in _warnings(made)


def test_late_fees_and_rounding_are_told_before_a_run() -> None:
    """Each client's settings are named with the client; those of a client without work are not."""
    clients = {**_clients(late_fee_amount1=5), "b": NinjaClient("b", "0002", "Beta", settings=ROUNDS_DOWN)}
    made = plan(work(task(1), clients=clients), mapping())
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith("Acme: Invoice Ninja adds a late fee")
    rounded = plan(work(task(1), company=company(settings=ROUNDS_DOWN)), mapping())
    assert "Acme: Invoice Ninja rounds the time of tasks down to 900 s (set at the company)" in _warnings(rounded)
